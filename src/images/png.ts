import { crc32 } from 'node:zlib';
import type { Carrier, FoundTexts, Texts } from './carrier.ts';
import { brokenImage } from './failure.ts';

/**
 * `parameters` as tEXt or, where it does not fit Latin-1, as iTXt (what AUTOMATIC1111's own writer does),
 * `kilnwatt` and the XMP packet as iTXt. They stand right after IHDR, so that a reader finds them in the first block.
 */
export const png: Carrier = {
  embed(file, texts, path) {
    const chunks = chunksOf(file, path);
    const kept = chunks.filter((chunk) => !OURS.has(keywordOf(chunk)));
    const [header, ...rest] = kept.map((chunk) => chunk.whole);
    if (header === undefined) throw brokenImage(path, 'it has no header');
    return [SIGNATURE, header, ...textChunks(texts), ...rest];
  },

  read(file, path): FoundTexts {
    const found = new Map(chunksOf(file, path).map((chunk) => [keywordOf(chunk), textOf(chunk)]));
    return { parameters: found.get(PARAMETERS) ?? null, kilnwatt: found.get(KILNWATT) ?? null };
  },
};

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const PARAMETERS = 'parameters';
const KILNWATT = 'kilnwatt';
const XMP = 'XML:com.adobe.xmp';
const OURS = new Set<string | undefined>([PARAMETERS, KILNWATT, XMP]);
/** Length, type and checksum. */
const FRAME = 12;

interface Chunk {
  readonly type: string;
  readonly data: Buffer;
  readonly whole: Buffer;
}

function chunksOf(file: Buffer, path: string): readonly Chunk[] {
  if (!file.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw brokenImage(path, 'it is not a PNG file');
  const chunks: Chunk[] = [];
  for (let offset = SIGNATURE.length; offset < file.length; ) {
    const chunk = chunkAt(file, offset, path);
    chunks.push(chunk);
    offset += chunk.whole.length;
  }
  if (chunks[0]?.type !== 'IHDR') throw brokenImage(path, 'it has no header');
  if (!chunks.some((chunk) => chunk.type === 'IDAT')) throw brokenImage(path, 'it holds no pixels');
  if (chunks.at(-1)?.type !== 'IEND') throw brokenImage(path, 'its end is missing');
  return chunks;
}

function chunkAt(file: Buffer, offset: number, path: string): Chunk {
  const size = offset + FRAME <= file.length ? file.readUInt32BE(offset) : Number.POSITIVE_INFINITY;
  if (offset + FRAME + size > file.length) throw brokenImage(path, 'it is cut short');
  const whole = file.subarray(offset, offset + FRAME + size);
  if (crc32(whole.subarray(4, -4)) !== whole.readUInt32BE(whole.length - 4))
    throw brokenImage(path, 'a checksum is wrong');
  return { type: whole.toString('latin1', 4, 8), data: whole.subarray(8, -4), whole };
}

function keywordOf({ type, data }: Chunk): string | undefined {
  if (type !== 'tEXt' && type !== 'iTXt') return undefined;
  const end = data.indexOf(0);
  return end < 0 ? undefined : data.toString('latin1', 0, end);
}

/** The text of a tEXt chunk or of an uncompressed iTXt chunk; we write no other. */
function textOf({ type, data }: Chunk): string | null {
  const afterKeyword = data.indexOf(0) + 1;
  if (type === 'tEXt') return data.toString('latin1', afterKeyword);
  if (type !== 'iTXt' || data[afterKeyword] !== 0) return null;
  const afterLanguage = data.indexOf(0, afterKeyword + 2) + 1;
  const afterTranslation = data.indexOf(0, afterLanguage) + 1;
  return afterLanguage === 0 || afterTranslation === 0 ? null : data.toString('utf8', afterTranslation);
}

function textChunks(texts: Texts): readonly Buffer[] {
  const parameters = texts.parameters === null ? [] : [textChunk(PARAMETERS, texts.parameters)];
  return [...parameters, wideChunk(KILNWATT, texts.kilnwatt), wideChunk(XMP, texts.xmp)];
}

/** NUL ends a string in this format, and no prompt can mean one. */
function textChunk(keyword: string, text: string): Buffer {
  const clean = text.replaceAll('\0', '');
  const latin = Buffer.from(`${keyword}\0${clean}`, 'latin1');
  return latin.toString('latin1') === `${keyword}\0${clean}` ? chunkOf('tEXt', latin) : wideChunk(keyword, clean);
}

/** Keyword, two zeros for "not compressed", empty language and empty translated keyword, text. */
function wideChunk(keyword: string, text: string): Buffer {
  return chunkOf('iTXt', Buffer.from(`${keyword}\0\0\0\0\0${text}`, 'utf8'));
}

function chunkOf(type: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(data.length + FRAME);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(type, 4, 'latin1');
  data.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, -4)), chunk.length - 4);
  return chunk;
}
