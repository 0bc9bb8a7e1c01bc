/**
 * The first piece of prompt syntax that other programs act on and the worker does not speak yet:
 * weights, extra networks, alternatives, wildcards, prompt editing, `BREAK`, `AND`, embeddings.
 *
 * Plain `(x)`, `((x))` and `[x]` pass as text. A1111 would turn their attention up or down by a tenth,
 * but people write brackets in ordinary sentences, and a picture without that tenth is not a wrong one.
 * Escaped brackets (`\(`) are text, as in A1111.
 */
export function unspokenSyntax(prompt: string): string | undefined {
  const plain = prompt.replaceAll(/\\./gs, '  ');
  let first: { readonly at: number; readonly end: number } | undefined;
  for (const find of FINDERS) {
    const found = find(plain);
    if (found !== undefined && (first === undefined || found.at < first.at)) first = found;
  }
  return first === undefined ? undefined : prompt.slice(first.at, first.end);
}

type Finder = (text: string) => { readonly at: number; readonly end: number } | undefined;

const FINDERS: readonly Finder[] = [
  bracketed('(', ')', /:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\)/g),
  bracketed('[', ']', /:\s*(?:\d+\.?\d*|\.\d+)\s*\]/g),
  matching(/\[[^[\]|]*\|[^[\]]*\]/),
  matching(/\{[^{}|]*\|[^{}]*\}/),
  matching(/<[a-z]\w*:[^<>]*>/i),
  matching(/__[a-z0-9*][\w*/.-]*?__/i),
  matching(/\b(?:BREAK|AND)\b/),
  matching(/\bembedding:[^\s,]+/i),
];

function matching(pattern: RegExp): Finder {
  return (text) => {
    const match = pattern.exec(text);
    return match === null ? undefined : { at: match.index, end: match.index + match[0].length };
  };
}

/** Finds `tail` where it closes a bracket that was opened before it, whatever else is nested between. */
function bracketed(open: string, close: string, tail: RegExp): Finder {
  return (text) => {
    for (const match of text.matchAll(tail)) {
      const end = match.index + match[0].length;
      const at = opening(text, match.index, open, close);
      if (at !== undefined) return { at, end };
    }
    return undefined;
  };
}

function opening(text: string, before: number, open: string, close: string): number | undefined {
  let depth = 0;
  for (let at = before - 1; at >= 0; at -= 1) {
    if (text[at] === close) depth += 1;
    else if (text[at] === open && depth === 0) return at;
    else if (text[at] === open) depth -= 1;
  }
  return undefined;
}
