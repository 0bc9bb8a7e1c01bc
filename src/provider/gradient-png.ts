import { crc32, deflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const RGB = 2;

/** A whole 8-bit RGB picture that is never flat: the same for the same seed, another for another seed. */
export function gradientPng(seed: number, width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.writeUInt8(8, 8);
  header.writeUInt8(RGB, 9);
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows(seed, width, height), { level: 1 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Each row begins with the number of its filter, 0. */
function rows(seed: number, width: number, height: number): Buffer {
  const stride = 1 + 3 * width;
  const pixels = Buffer.alloc(stride * height);
  const [red, green, blue] = [seed % 251, Math.floor(seed / 251) % 251, Math.floor(seed / 251 ** 2) % 251];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = y * stride + 1 + 3 * x;
      pixels[at] = (red + x) % 256;
      pixels[at + 1] = (green + y) % 256;
      pixels[at + 2] = (blue + x + y) % 256;
    }
  }
  return pixels;
}

function chunk(type: string, data: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}
