/**
 * One part of a path that every file system takes: no separators, no characters or names that Windows
 * keeps for itself, no leading dot (hidden, and how temporary files begin), no trailing dot or blank, and
 * short enough to leave room for a number and an extension.
 */
export function safePart(text: string): string {
  const clean = text
    .normalize('NFC')
    .toWellFormed()
    .replaceAll(FORBIDDEN, '_')
    .replace(/^[.\s]+/, '');
  const cut = cutToBytes(clean, MAX_BYTES).replace(/[.\s]+$/, '');
  if (cut === '') return '_';
  return RESERVED.test(cut) ? `_${cut}` : cut;
}

/** Lower-case words of a text joined by hyphens, at most `most` characters; empty where it has none. */
export function slug(text: string, most: number): string {
  const words = text
    .normalize('NFC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}]+/gu, '-')
    .replace(/^-/, '');
  return [...words].slice(0, most).join('').replace(/-$/, '');
}

const MAX_BYTES = 200;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is there to find
const FORBIDDEN = /[<>:"/\\|?*\u0000-\u001f\u007f]/g;
const RESERVED = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/i;

function cutToBytes(text: string, most: number): string {
  if (Buffer.byteLength(text) <= most) return text;
  let bytes = 0;
  let cut = '';
  for (const letter of text) {
    bytes += Buffer.byteLength(letter);
    if (bytes > most) return cut;
    cut += letter;
  }
  return cut;
}
