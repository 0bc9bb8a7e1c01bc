import type { FoundTexts } from './carrier.ts';

/**
 * A TIFF block as JPEG and WebP carry it: `Software` in the first directory; in the Exif directory
 * `UserComment` with AUTOMATIC1111's text (marked UNICODE, UTF-16 big-endian, as AUTOMATIC1111 writes it) and
 * `ImageHistory` with our JSON in ASCII. MakerNote would be the obvious home, but Pillow gives no access to it.
 */
export function writeExif(texts: FoundTexts & { readonly software: string }): Buffer {
  const exif: Entry[] = [{ tag: EXIF_VERSION, type: UNDEFINED, data: Buffer.from('0232', 'latin1') }];
  if (texts.kilnwatt !== null) exif.push({ tag: IMAGE_HISTORY, type: ASCII, data: asciiz(escaped(texts.kilnwatt)) });
  if (texts.parameters !== null) exif.push({ tag: USER_COMMENT, type: UNDEFINED, data: userComment(texts.parameters) });

  const software: Entry = { tag: SOFTWARE, type: ASCII, data: asciiz(texts.software) };
  const start = HEADER.length;
  const pointer = (at: number): Entry => ({ tag: EXIF_POINTER, type: LONG, data: uint32(at) });
  const first = directory([software, pointer(0)], start);
  const second = start + first.length;
  return Buffer.concat([HEADER, directory([software, pointer(second)], start), directory(exif, second)]);
}

/** Reads the same texts back, whatever the byte order; a block that makes no sense has none. */
export function readExif(tiff: Buffer): FoundTexts {
  const block = blockOf(tiff);
  if (block === undefined) return NONE;
  const pointer = entriesAt(block, uint32At(block, 4)).get(EXIF_POINTER);
  if (pointer === undefined || pointer.length !== 4) return NONE;
  const exif = entriesAt(block, block.little ? pointer.readUInt32LE() : pointer.readUInt32BE());
  return { parameters: commentOf(exif.get(USER_COMMENT)), kilnwatt: historyOf(exif.get(IMAGE_HISTORY)) };
}

const NONE: FoundTexts = { parameters: null, kilnwatt: null };
/** Big-endian mark, the number 42, and where the first directory begins. */
const HEADER = Buffer.from([0x4d, 0x4d, 0, 42, 0, 0, 0, 8]);
const SOFTWARE = 0x0131;
const EXIF_POINTER = 0x8769;
const EXIF_VERSION = 0x9000;
const IMAGE_HISTORY = 0x9213;
const USER_COMMENT = 0x9286;
const ASCII = 2;
const LONG = 4;
const UNDEFINED = 7;
/** Bytes of one value, by its type. */
const SIZES: Readonly<Record<number, number>> = {
  1: 1,
  2: 1,
  3: 2,
  4: 4,
  5: 8,
  6: 1,
  7: 1,
  8: 2,
  9: 4,
  10: 8,
  11: 4,
  12: 8,
};
const UNICODE = Buffer.from('UNICODE\0', 'latin1');
const ENTRY = 12;

interface Entry {
  readonly tag: number;
  readonly type: number;
  readonly data: Buffer;
}

/** One directory at `start`: its entries in the order of their tags, no successor, then values longer than four bytes. */
function directory(entries: readonly Entry[], start: number): Buffer {
  const table = Buffer.alloc(2 + entries.length * ENTRY + 4);
  const values: Buffer[] = [];
  let free = start + table.length;
  table.writeUInt16BE(entries.length, 0);
  for (const [index, entry] of entries.entries()) {
    const at = 2 + index * ENTRY;
    table.writeUInt16BE(entry.tag, at);
    table.writeUInt16BE(entry.type, at + 2);
    table.writeUInt32BE(entry.data.length / (SIZES[entry.type] ?? 1), at + 4);
    if (entry.data.length <= 4) {
      entry.data.copy(table, at + 8);
      continue;
    }
    const value = entry.data.length % 2 === 0 ? entry.data : Buffer.concat([entry.data, Buffer.alloc(1)]);
    table.writeUInt32BE(free, at + 8);
    values.push(value);
    free += value.length;
  }
  return Buffer.concat([table, ...values]);
}

function userComment(text: string): Buffer {
  return Buffer.concat([UNICODE, Buffer.from(text, 'utf16le').swap16()]);
}

/** JSON in ASCII: every other character becomes its escape, which any JSON reader undoes. */
function escaped(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function asciiz(text: string): Buffer {
  return Buffer.from(`${text.replace(/[^ -~]/g, '?')}\0`, 'latin1');
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

interface Block {
  readonly bytes: Buffer;
  readonly little: boolean;
}

function blockOf(tiff: Buffer): Block | undefined {
  const order = tiff.toString('latin1', 0, 2);
  return tiff.length >= 8 && (order === 'MM' || order === 'II') ? { bytes: tiff, little: order === 'II' } : undefined;
}

function uint16At({ bytes, little }: Block, at: number): number {
  if (at + 2 > bytes.length) return 0;
  return little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
}

function uint32At({ bytes, little }: Block, at: number): number {
  if (at + 4 > bytes.length) return 0;
  return little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
}

/** The values of a directory by tag; entries that point outside the block are left out. */
function entriesAt(block: Block, start: number): ReadonlyMap<number, Buffer> {
  const entries = new Map<number, Buffer>();
  const count = uint16At(block, start);
  for (let at = start + 2; at < start + 2 + count * ENTRY && at + ENTRY <= block.bytes.length; at += ENTRY) {
    const size = (SIZES[uint16At(block, at + 2)] ?? 1) * uint32At(block, at + 4);
    const value = size <= 4 ? at + 8 : uint32At(block, at + 8);
    if (value + size <= block.bytes.length) entries.set(uint16At(block, at), block.bytes.subarray(value, value + size));
  }
  return entries;
}

function commentOf(value: Buffer | undefined): string | null {
  if (value === undefined || !value.subarray(0, UNICODE.length).equals(UNICODE)) return null;
  const units = Buffer.from(value.subarray(UNICODE.length, value.length - (value.length % 2)));
  return units.swap16().toString('utf16le');
}

function historyOf(value: Buffer | undefined): string | null {
  return value === undefined ? null : value.toString('latin1').replace(/\0+$/, '');
}
