import type { Carrier, FoundTexts, Texts } from './carrier.ts';
import { readExif, writeExif } from './exif.ts';
import { brokenImage } from './failure.ts';

/**
 * The texts in an APP1 Exif segment and the XMP packet in one of its own, both after the JFIF header.
 * A segment holds 64 KiB. What does not fit is left out in this order: the request inside our JSON, then
 * AUTOMATIC1111's text; job id and receipt always stay.
 */
export const jpeg: Carrier = {
  embed(file, texts, path) {
    const { segments, scan } = partsOf(file, path);
    const jfif = segments.filter((segment) => segment[1] === APP0).slice(0, 1);
    const others = segments.filter(
      (segment) => !jfif.includes(segment) && !carries(segment, EXIF) && !carries(segment, XMP),
    );
    const xmp = segmentOf(XMP, Buffer.from(texts.xmp, 'utf8'));
    return [START, ...jfif, segmentOf(EXIF, fittingExif(texts, path)), xmp, ...others, scan];
  },

  read(file, path): FoundTexts {
    const exif = partsOf(file, path).segments.find((segment) => carries(segment, EXIF));
    return exif === undefined ? { parameters: null, kilnwatt: null } : readExif(exif.subarray(HEAD + EXIF.length));
  },
};

const START = Buffer.from([0xff, 0xd8]);
const END = Buffer.from([0xff, 0xd9]);
const APP0 = 0xe0;
const APP1 = 0xe1;
const START_OF_SCAN = 0xda;
const EXIF = Buffer.from('Exif\0\0', 'latin1');
const XMP = Buffer.from('http://ns.adobe.com/xap/1.0/\0', 'latin1');
/** Marker and length. */
const HEAD = 4;
/** The length counts itself but not the marker. */
const MOST = 0xffff - 2;

/** The segments before the pixels, and everything from the first scan on. */
function partsOf(file: Buffer, path: string): { readonly segments: readonly Buffer[]; readonly scan: Buffer } {
  if (!file.subarray(0, 2).equals(START)) throw brokenImage(path, 'it is not a JPEG file');
  if (!file.subarray(-2).equals(END)) throw brokenImage(path, 'it is cut short');
  const segments: Buffer[] = [];
  let offset = START.length;
  while (offset + HEAD <= file.length && file[offset + 1] !== START_OF_SCAN) {
    const end = offset + 2 + file.readUInt16BE(offset + 2);
    if (file[offset] !== 0xff || end > file.length) throw brokenImage(path, 'a segment is broken');
    segments.push(file.subarray(offset, end));
    offset = end;
  }
  if (file[offset] !== 0xff || file[offset + 1] !== START_OF_SCAN) throw brokenImage(path, 'it holds no pixels');
  return { segments, scan: file.subarray(offset) };
}

function carries(segment: Buffer, name: Buffer): boolean {
  return segment[1] === APP1 && segment.subarray(HEAD, HEAD + name.length).equals(name);
}

function fittingExif(texts: Texts, path: string): Buffer {
  const choices = [
    texts,
    { ...texts, kilnwatt: texts.kilnwattShort },
    { ...texts, kilnwatt: texts.kilnwattShort, parameters: null },
  ];
  for (const choice of choices) {
    const exif = writeExif(choice);
    if (exif.length + EXIF.length <= MOST) return exif;
  }
  throw brokenImage(path, 'its receipt is longer than the 64 KiB that a JPEG can hold');
}

function segmentOf(name: Buffer, data: Buffer): Buffer {
  const head = Buffer.from([0xff, APP1, 0, 0]);
  head.writeUInt16BE(2 + name.length + data.length, 2);
  return Buffer.concat([head, name, data]);
}
