import { describe, expect, it } from 'vitest';
import {
  deviceNameFault,
  hoursOf,
  localTimeIn,
  nextChange,
  nextLocalTime,
  strangersIn,
} from '../../src/batch/hours.ts';
import { isOpen, parseHours, timeOf } from '../../src/hours.ts';

const berlin = localTimeIn('Europe/Berlin');
const at = (text: string) => Date.parse(text);
const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString());
const minute = (text: string) => timeOf(text) ?? Number.NaN;

describe('hours', () => {
  it('are those of the device that is named, by its number, UUID or kind, and none for others', () => {
    const card = { id: 'cuda:0', kind: 'cuda', uuid: 'GPU-8f4e' } as const;
    const second = { id: 'cpu:1', kind: 'cpu', uuid: null } as const;
    const night = parseHours('22:00-07:00');
    for (const name of ['cuda:0', 'CUDA:0', '0', 'gpu-8F4E'])
      expect(hoursOf({ [name]: '22:00-07:00' }, card)).toEqual(night);
    expect(hoursOf({ 'cuda:1': '22:00-07:00' }, card)).toBeNull();
    expect(hoursOf({ cpu: '22:00-07:00' }, second)).toEqual(night);
    expect(hoursOf({ cpu: '01:00-02:00', 'cpu:1': '22:00-07:00' }, second)).toEqual(night);
    expect(hoursOf('22:00-07:00', second)).toEqual(night);
    expect(hoursOf(null, card)).toBeNull();
  });

  it('know what can name a device', () => {
    expect(['cpu', 'cpu:1', 'cuda:0', '0', 'GPU-8f4e1c'].map(deviceNameFault)).toEqual(Array(5).fill(undefined));
    expect(deviceNameFault('gpu 0')).toBe('"gpu 0" is no device; expected cpu, cuda:0, 0, or the UUID of a card');
  });
});

describe('the next change', () => {
  const night = parseHours('22:00-07:00');

  it.each([
    ['2026-01-10T20:30:00Z', '2026-01-10T21:00:00.000Z'],
    ['2026-01-10T21:00:00Z', '2026-01-11T06:00:00.000Z'],
    ['2026-07-10T20:00:00Z', '2026-07-11T05:00:00.000Z'],
    ['2026-07-10T05:00:00Z', '2026-07-10T20:00:00.000Z'],
    ['2026-01-11T05:59:59.999Z', '2026-01-11T06:00:00.000Z'],
  ])('from %s is at %s', (now, change) => {
    expect(iso(nextChange(night, at(now), berlin))).toBe(change);
  });

  it('comes an hour earlier in the night in which the clock is set forward', () => {
    expect(iso(nextChange(night, at('2026-03-28T21:00:00Z'), berlin))).toBe('2026-03-29T05:00:00.000Z');
  });

  it('comes an hour later in the night in which the clock is set back', () => {
    expect(iso(nextChange(night, at('2026-10-24T20:00:00Z'), berlin))).toBe('2026-10-25T06:00:00.000Z');
  });

  it('comes at three where hours begin in the hour that is skipped', () => {
    const late = parseHours('02:30-05:00');
    expect(iso(nextChange(late, at('2026-03-29T00:00:00Z'), berlin))).toBe('2026-03-29T01:00:00.000Z');
  });

  it('leaves a day out whose hours are skipped wholly', () => {
    const short = parseHours('02:15-02:45');
    expect(iso(nextChange(short, at('2026-03-28T12:00:00Z'), berlin))).toBe('2026-03-30T00:15:00.000Z');
  });

  it('counts an hour that comes twice both times', () => {
    const until = parseHours('22:00-02:30');
    const changes = [at('2026-10-24T23:00:00Z')];
    for (let n = 0; n < 3; n += 1) changes.push(nextChange(until, changes[n] ?? 0, berlin) ?? 0);
    expect(changes.slice(1).map(iso)).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-25T01:00:00.000Z',
      '2026-10-25T01:30:00.000Z',
    ]);
  });

  it('never comes for a whole day, in one span or in two', () => {
    expect(nextChange(parseHours('00:00-24:00'), at('2026-01-10T20:30:00Z'), berlin)).toBeNull();
    expect(nextChange(parseHours('07:00-22:00,22:00-07:00'), at('2026-10-24T20:30:00Z'), berlin)).toBeNull();
  });

  it('is a change, whatever the day and the hours', () => {
    const texts = ['22:00-07:00', '02:00-03:00', '00:00-00:01', '12:00-13:30,22:00-07:00', '03:00-02:59'];
    for (const hours of texts.map(parseHours)) {
      for (const day of ['2026-03-28T11:11:11Z', '2026-10-24T23:59:59Z', '2026-06-01T00:00:00Z']) {
        const now = at(day);
        const change = nextChange(hours, now, berlin) ?? 0;
        expect(change).toBeGreaterThan(now);
        expect(isOpen(hours, berlin(change))).not.toBe(isOpen(hours, berlin(now)));
        expect(isOpen(hours, berlin(change - 1))).toBe(isOpen(hours, berlin(now)));
      }
    }
  });
});

describe('the next time of day', () => {
  it.each([
    ['07:00', '2026-01-10T20:30:00Z', '2026-01-11T06:00:00.000Z'],
    ['07:00', '2026-01-11T06:00:30Z', '2026-01-12T06:00:00.000Z'],
    ['07:00', '2026-03-28T21:00:00Z', '2026-03-29T05:00:00.000Z'],
    ['07:00', '2026-10-25T00:45:00Z', '2026-10-25T06:00:00.000Z'],
    ['02:30', '2026-03-28T21:00:00Z', '2026-03-29T01:00:00.000Z'],
    ['02:30', '2026-10-25T00:45:00Z', '2026-10-25T01:30:00.000Z'],
    ['00:00', '2026-01-10T22:59:59Z', '2026-01-10T23:00:00.000Z'],
  ])('%s after %s is at %s', (time, now, then) => {
    expect(iso(nextLocalTime(minute(time), at(now), berlin))).toBe(then);
  });

  it('is not missed where the clock jumps over midnight', () => {
    const santiago = localTimeIn('America/Santiago');
    expect(iso(nextLocalTime(minute('00:30'), at('2026-09-05T20:00:00Z'), santiago))).toBe('2026-09-06T04:00:00.000Z');
  });
});

it('local time is that of this host where no zone is named', () => {
  const now = new Date(2026, 5, 1, 13, 45);
  expect(localTimeIn()(now.getTime())).toBe(13 * 60 + 45);
});

it('names devices that are not there', () => {
  const devices = [
    { id: 'cuda:0', kind: 'cuda', uuid: 'GPU-aa' } as const,
    { id: 'cpu:1', kind: 'cpu', uuid: null } as const,
  ];
  const night = '22:00-07:00';
  expect(strangersIn({ 'cuda:0': night, '0': night, 'gpu-aa': night, cpu: night, 'cuda:3': night }, devices)).toEqual([
    'cuda:3',
  ]);
  expect(strangersIn(night, devices)).toEqual([]);
});
