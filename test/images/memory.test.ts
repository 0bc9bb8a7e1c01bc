import { MemoryImages } from '../../src/images/memory.ts';
import { imagesContract } from '../contracts/images.ts';

imagesContract(async () => {
  const images = new MemoryImages();
  return {
    images,
    root: '/memory',
    paint: async () => {},
    throwAway: async (path) => void images.pictures.delete(path),
    close: async () => {},
  };
});
