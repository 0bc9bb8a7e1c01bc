import type { Notice } from './ports.ts';

export const NOTICE_KINDS = ['done', 'first_failure', 'stalled', 'paused'] as const satisfies readonly Notice['kind'][];

/** What may stand in braces in the body of a notice. */
export const NOTICE_PLACES = ['line', 'run', 'kind', 'json_line'] as const;
export type NoticePlace = (typeof NOTICE_PLACES)[number];

/** Why an address cannot be used. Never repeats it: it may hold a token even where it is broken. */
export function noticeUrlFault(text: string): string | undefined {
  const url = URL.parse(text);
  if (url !== null && ['http:', 'https:'].includes(url.protocol)) return undefined;
  return 'expected an address as https://ntfy.sh/my-topic';
}

/** The kinds that a text names, each once; undefined where a word is none. */
export function noticeKindsOf(text: string): Notice['kind'][] | undefined {
  const words = text.split(',').map((word) => word.trim());
  const kinds = NOTICE_KINDS.filter((kind) => words.includes(kind));
  return words.every((word) => kinds.some((kind) => kind === word)) ? kinds : undefined;
}

/** Why a body cannot be one: a word in braces that stands for nothing would be sent as it is. */
export function bodyFault(body: string): string | undefined {
  const places: readonly string[] = NOTICE_PLACES;
  const unknown = [...body.matchAll(/\{(\w+)\}/g)].find(([, name = '']) => !places.includes(name));
  if (unknown === undefined) return undefined;
  return `${unknown[0]} stands for nothing; there are ${NOTICE_PLACES.map((name) => `{${name}}`).join(' ')}`;
}
