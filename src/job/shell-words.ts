/**
 * The word that begins at `at`, read as a POSIX shell (and Python's shlex, which A1111 uses) reads it:
 * quotes join, a backslash takes the next letter as it is, and inside double quotes only `\"` and `\\`
 * are escapes. Undefined where a quote is never closed.
 */
export function wordAt(text: string, at: number): { readonly word: string; readonly end: number } | undefined {
  let word = '';
  let quote: '"' | "'" | undefined;
  for (let i = at; i < text.length; i += 1) {
    const letter = text.charAt(i);
    const next = text.charAt(i + 1);
    if (letter === '\\' && next !== '' && quote !== "'" && (quote === undefined || next === '"' || next === '\\')) {
      word += next;
      i += 1;
    } else if (letter === quote) quote = undefined;
    else if (quote === undefined && (letter === '"' || letter === "'")) quote = letter;
    else if (quote === undefined && /\s/.test(letter)) return { word, end: i };
    else word += letter;
  }
  return quote === undefined ? { word, end: text.length } : undefined;
}
