import type { Carrier, FoundTexts } from './carrier.ts';
import { readExif, writeExif } from './exif.ts';
import { brokenImage } from './failure.ts';

/** The texts in the EXIF chunk of the extended format, the XMP packet in the XMP chunk; both after the pixels. */
export const webp: Carrier = {
  embed(file, texts, path) {
    const chunks = chunksOf(file, path).filter(({ type }) => type !== 'EXIF' && type !== 'XMP ');
    const pixels = chunks.filter(({ type }) => type !== 'VP8X');
    const body = Buffer.concat([
      chunkOf('VP8X', extendedHeader(chunks, path)),
      ...pixels.map(({ whole }) => whole),
      chunkOf('EXIF', writeExif(texts)),
      chunkOf('XMP ', Buffer.from(texts.xmp, 'utf8')),
    ]);
    const head = Buffer.from('RIFF\0\0\0\0WEBP', 'latin1');
    head.writeUInt32LE(body.length + 4, 4);
    return [head, body];
  },

  read(file, path): FoundTexts {
    const exif = chunksOf(file, path).find(({ type }) => type === 'EXIF');
    if (exif === undefined) return { parameters: null, kilnwatt: null };
    const prefixed = exif.data.subarray(0, PREFIX.length).equals(PREFIX);
    return readExif(prefixed ? exif.data.subarray(PREFIX.length) : exif.data);
  },
};

/** What some writers put before the TIFF block, as in JPEG. */
const PREFIX = Buffer.from('Exif\0\0', 'latin1');
const HEAD = 12;
const HAS_XMP = 0x04;
const HAS_EXIF = 0x08;
const HAS_ALPHA = 0x10;

interface Chunk {
  readonly type: string;
  readonly data: Buffer;
  /** With its head and its padding. */
  readonly whole: Buffer;
}

function chunksOf(file: Buffer, path: string): readonly Chunk[] {
  if (file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 8, HEAD) !== 'WEBP') {
    throw brokenImage(path, 'it is not a WebP file');
  }
  if (file.readUInt32LE(4) + 8 !== file.length) throw brokenImage(path, 'it is cut short');
  const chunks: Chunk[] = [];
  for (let offset = HEAD; offset < file.length; ) {
    const size = offset + 8 <= file.length ? file.readUInt32LE(offset + 4) : Number.POSITIVE_INFINITY;
    const end = offset + 8 + size + (size % 2);
    if (!(end <= file.length)) throw brokenImage(path, 'a chunk is cut short');
    const data = file.subarray(offset + 8, offset + 8 + size);
    chunks.push({ type: file.toString('latin1', offset, offset + 4), data, whole: file.subarray(offset, end) });
    offset = end;
  }
  return chunks;
}

/** Flags, three unused bytes, width and height less one in three bytes each. */
function extendedHeader(chunks: readonly Chunk[], path: string): Buffer {
  const old = chunks.find(({ type }) => type === 'VP8X');
  const header = old === undefined ? headerFromPixels(chunks, path) : Buffer.from(old.data);
  if (header.length !== 10) throw brokenImage(path, 'its header is broken');
  header[0] = (header[0] ?? 0) | HAS_EXIF | HAS_XMP;
  return header;
}

function headerFromPixels(chunks: readonly Chunk[], path: string): Buffer {
  const header = Buffer.alloc(10);
  const [pixels] = chunks;
  if (pixels?.type === 'VP8 ' && pixels.data.length >= 10) {
    header.writeUIntLE((pixels.data.readUInt16LE(6) & 0x3fff) - 1, 4, 3);
    header.writeUIntLE((pixels.data.readUInt16LE(8) & 0x3fff) - 1, 7, 3);
    return header;
  }
  if (pixels?.type === 'VP8L' && pixels.data.length >= 5) {
    const bits = pixels.data.readUInt32LE(1);
    header[0] = (bits >>> 28) & 1 ? HAS_ALPHA : 0;
    header.writeUIntLE(bits & 0x3fff, 4, 3);
    header.writeUIntLE((bits >>> 14) & 0x3fff, 7, 3);
    return header;
  }
  throw brokenImage(path, 'it holds no pixels');
}

function chunkOf(type: string, data: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.write(type, 0, 'latin1');
  head.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
}
