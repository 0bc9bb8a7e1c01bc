import type { Config } from '../config.ts';
import { NOTICE_PLACES, type NoticePlace } from '../config-notify.ts';
import type { Notice } from '../ports.ts';

/** What is sent for a notice. */
export interface Message {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** How notices look to who receives them. */
export type Look = Pick<Config['notify'], 'preset' | 'body'>;

/** As the preset has it; a template takes the place of the body, and JSON stays JSON, whatever a name or a line holds. */
export function messageOf(notice: Notice, look: Look): Message {
  const message = PRESETS[look.preset](notice);
  if (look.body === null) return message;
  const { text, json } = filledIn(look.body, notice);
  return { headers: { ...message.headers, 'Content-Type': json ? JSON_TYPE : TEXT_TYPE }, body: text };
}

const TEXT_TYPE = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json';

const PRESETS: Readonly<Record<Look['preset'], (notice: Notice) => Message>> = {
  plain: ({ run, line }) => ({ headers: { 'Content-Type': TEXT_TYPE }, body: `${run.name}: ${line}` }),
  ntfy: ({ kind, run, line }) => ({
    headers: {
      'Content-Type': TEXT_TYPE,
      Title: headerValue(`${run.name} ${NTFY[kind].title}`),
      ...NTFY[kind].headers,
    },
    body: clipped(line, NTFY_CHARACTERS),
  }),
  discord: ({ run, line }) => ({
    headers: { 'Content-Type': JSON_TYPE },
    // A prompt or a name with @everyone in it must not ring everybody.
    body: JSON.stringify({
      content: clipped(`${run.name}: ${line}`, DISCORD_CHARACTERS),
      allowed_mentions: { parse: [] },
    }),
  }),
};

/** Of 4,096 bytes, over which a message becomes an attachment. */
const NTFY_CHARACTERS = 1_300;
const DISCORD_CHARACTERS = 2_000;

const NTFY: Readonly<
  Record<Notice['kind'], { readonly title: string; readonly headers: Readonly<Record<'Priority' | 'Tags', string>> }>
> = {
  done: { title: 'is done', headers: { Priority: 'default', Tags: 'white_check_mark' } },
  first_failure: { title: 'has a first failure', headers: { Priority: 'high', Tags: 'warning' } },
  stalled: { title: 'has stalled', headers: { Priority: 'high', Tags: 'hourglass' } },
  paused: { title: 'is paused', headers: { Priority: 'high', Tags: 'pause_button' } },
};

/** A header holds Latin letters only; ntfy reads others in the way of mail (RFC 2047). */
function headerValue(text: string): string {
  return /^[ -~]*$/.test(text) ? text : `=?UTF-8?B?${Buffer.from(text, 'utf8').toString('base64')}?=`;
}

function clipped(text: string, most: number): string {
  // Half of a pair of surrogates is no character.
  return text.length <= most ? text : `${text.slice(0, most - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

const PLACES = new RegExp(`\\{(${NOTICE_PLACES.join('|')})\\}`, 'g');

/** In JSON all places stand in quotes, but for {json_line}, which may bring its own. */
function filledIn(template: string, { kind, run, line }: Notice): { readonly text: string; readonly json: boolean } {
  const allQuoted = isJson(template);
  const json = allQuoted || isJson(template.replaceAll('{json_line}', '""'));
  const values: Readonly<Record<NoticePlace, string>> = { line, kind, run: run.name, json_line: JSON.stringify(line) };
  const text = template.replaceAll(PLACES, (_, place: NoticePlace) => {
    const quoted = json && (allQuoted || place !== 'json_line');
    return quoted ? JSON.stringify(values[place]).slice(1, -1) : values[place];
  });
  return { text, json };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
