import { describe, expect, it } from 'vitest';
import { messageOf } from '../../src/notify/message.ts';
import type { Notice } from '../../src/ports.ts';
import { noticeOf } from '../contracts/notifier.ts';

const look = (preset: 'plain' | 'ntfy' | 'discord', body: string | null = null) => ({ preset, body });

describe('the message of a notice', () => {
  it('is a line of text with the name of its run', () => {
    expect(messageOf(noticeOf({ line: '4/9' }), look('plain'))).toEqual({
      headers: { 'Content-Type': 'text/plain; charset=utf-8' },
      body: 'night: 4/9',
    });
  });

  it.each<[Notice['kind'], string, string, string]>([
    ['done', 'night is done', 'default', 'white_check_mark'],
    ['first_failure', 'night has a first failure', 'high', 'warning'],
    ['stalled', 'night has stalled', 'high', 'hourglass'],
    ['paused', 'night is paused', 'high', 'pause_button'],
  ])('of %s has a title and a priority for ntfy', (kind, Title, Priority, Tags) => {
    expect(messageOf(noticeOf({ kind, line: '4/9' }), look('ntfy'))).toMatchObject({
      headers: { Title, Priority, Tags },
      body: '4/9',
    });
  });

  it('has a title for ntfy in any letters, which a header could not hold', () => {
    const { headers } = messageOf(noticeOf({ run: { id: 'r', name: 'Nacht 夜' } }), look('ntfy'));
    const [, encoded = ''] = /^=\?UTF-8\?B\?(.+)\?=$/.exec(headers.Title ?? '') ?? [];
    expect(Buffer.from(encoded, 'base64').toString('utf8')).toBe('Nacht 夜 is done');
  });

  it('rings nobody at Discord, whatever it says', () => {
    const { headers, body } = messageOf(noticeOf({ line: '@everyone' }), look('discord'));
    expect(headers).toEqual({ 'Content-Type': 'application/json' });
    expect(JSON.parse(body)).toEqual({ content: 'night: @everyone', allowed_mentions: { parse: [] } });
  });

  it('is cut to what Discord takes, and never within a character', () => {
    const { body } = messageOf(noticeOf({ line: '🌙'.repeat(2_000) }), look('discord'));
    const { content } = JSON.parse(body);
    expect(content.length).toBeLessThanOrEqual(2_000);
    expect(content.length).toBeGreaterThan(1_990);
    expect(content.isWellFormed()).toBe(true);
    expect(content.endsWith('…')).toBe(true);
  });

  it('is cut to the 4,096 bytes that ntfy shows', () => {
    const { body } = messageOf(noticeOf({ line: '夜'.repeat(4_000) }), look('ntfy'));
    expect(Buffer.byteLength(body)).toBeLessThanOrEqual(4_096);
  });
});

describe('a template', () => {
  const notice = noticeOf({ run: { id: 'r', name: 'a "b"' }, line: 'c\\d\n{run}' });

  it('that is text is filled as it is, its values once', () => {
    const { headers, body } = messageOf(notice, look('plain', '{kind} {run}: {line} {x'));
    expect(headers['Content-Type']).toBe('text/plain; charset=utf-8');
    expect(body).toBe('done a "b": c\\d\n{run} {x');
  });

  it.each([
    ['{"text": "{run}: {line}"}', { text: 'a "b": c\\d\n{run}' }],
    ['{"text": {json_line}, "run": "{run}"}', { text: 'c\\d\n{run}', run: 'a "b"' }],
    ['{"text": "{json_line}"}', { text: JSON.stringify('c\\d\n{run}') }],
    ['["{kind}", {json_line}, {json_line}]', ['done', 'c\\d\n{run}', 'c\\d\n{run}']],
  ])('that is JSON stays JSON: %s', (template, value) => {
    const { headers, body } = messageOf(notice, look('plain', template));
    expect(headers['Content-Type']).toBe('application/json');
    expect(JSON.parse(body)).toEqual(value);
  });

  it('takes the place of the body of a preset, whose other headers stay', () => {
    const { headers, body } = messageOf(noticeOf({ line: '4/9' }), look('ntfy', '{kind}: {line}'));
    expect(headers).toMatchObject({ Title: 'night is done', 'Content-Type': 'text/plain; charset=utf-8' });
    expect(body).toBe('done: 4/9');
  });
});
