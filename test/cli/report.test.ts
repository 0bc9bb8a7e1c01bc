import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EnergyFlag, Entry, Stretch } from '../../src/ports.ts';
import { chargeSample, entryOf, stretchOf } from '../cost/ledger-samples.ts';
import { NOW, Office } from './bookkeeping.ts';

let office: Office;
beforeEach(() => {
  office = new Office();
});
afterEach(() => office.close());

const DAY = 86_400_000;
const ALL = `report:
  rates: { USD: { rate: 0.92, date: 2026-11-02, source: ECB } }
  hardware: [{ price: 1600, bought: 2026-03-01, resale: 700 }]
energy: { supply_efficiency: 0.9, host_watts: 60 }
carbon: { grams_per_kwh: 381 }
`;

describe('kilnwatt report', () => {
  it('says in a sentence that there is nothing yet', async () => {
    const { code, io } = await office.run('report');
    expect(code).toBe(0);
    expect(io.written).toEqual([
      expect.stringMatching(/^The ledger has nothing from 2026-10-31 12:15 to 2026-11-30 12:15: /),
    ]);
  });

  it('is of the last 30 days: what is older is not in it', async () => {
    await book([entryOf({ at: NOW - 29 * DAY }), entryOf({ at: NOW - 31 * DAY })]);
    expect(await json()).toMatchObject({ pictures: 1, period: { timezone: 'Europe/Berlin' } });
    expect(await json('--from', '2026-10-01')).toMatchObject({ pictures: 2 });
  });

  it('of a month has its days by the clock of the tariff, and of a running one those up to now', async () => {
    const midnight = Date.parse('2026-11-01T00:00+01:00');
    await book([entryOf({ at: midnight - 5000 }), entryOf({ at: midnight + 60_000 })]);
    expect(await json('--month', '2026-10')).toMatchObject({
      pictures: 1,
      period: { from: '2026-09-30T22:00:00.000Z', to: '2026-10-31T23:00:00.000Z' },
    });
    expect(await json('--month', '2026-11')).toMatchObject({ pictures: 1, period: { to: '2026-11-30T11:15:00.000Z' } });
  });

  it('has the last day of --to in it', async () => {
    await book([entryOf({ at: NOW - 2 * DAY })]);
    expect(await json('--from', '2026-11-28', '--to', '2026-11-28')).toMatchObject({ pictures: 1 });
    expect(await json('--from', '2026-11-20', '--to', '2026-11-28T00:00')).toMatchObject({ pictures: 0 });
  });

  it('says the time that it is of: to the minute where that is no whole days, and where it ends before --to', async () => {
    await book([entryOf({ at: NOW - DAY })]);
    const heading = async (...flags: string[]) => {
      const { io } = await office.run(['report', ...flags]);
      return [io.written[0], ...io.errors];
    };
    expect(await heading('--from', '2026-11-29T11:45', '--to', '2026-11-29T12:15')).toEqual([
      '2026-11-29 11:45 to 2026-11-29 12:15 (Europe/Berlin)',
    ]);
    expect(await heading('--from', '2026-11-20', '--to', '2026-11-29')).toEqual([
      '2026-11-20 to 2026-11-29 (Europe/Berlin)',
    ]);
    expect(await heading('--from', '2026-11-20', '--to', '2026-11-30')).toHaveLength(1);
    expect(await heading('--from', '2026-11-20', '--to', '2030-01-01')).toEqual([
      '2026-11-20 00:00 to 2026-11-30 12:15 (Europe/Berlin)',
      '--to 2030-01-01 is later than now: the report ends with what is booked by 2026-11-30 12:00.',
    ]);
    const none = await heading('--tag', 'client=nobody');
    expect(none).toEqual(['The ledger has nothing tagged client=nobody from 2026-10-31 12:15 to 2026-11-30 12:15.']);
  });

  it.each([
    [['--month', '2026-13'], '--month: needs a month as 2026-11'],
    [['--month', '2027-01'], '--month: begins in the future'],
    [['--month', '2026-11', '--to', '2026-11-02'], '--month: is a whole month'],
    [['--from', '2026-11-05', '--to', '2026-11-02'], '--to: ends before it begins'],
    [['--from', '2026-02-30'], '--from: needs a date as 2026-11-30'],
    [['--from', '2026-11-30T10:07'], '--from: needs a day, or a time on a quarter of an hour'],
    [['--json', '--csv'], '--json: is one of two forms of stdout'],
    [['--by', 'colour'], '--by: needs one of service'],
    [['--audit', '--by', 'day'], '--by: says nothing to --audit'],
  ])('refuses %j', async (flags, sentence) => {
    const { code, io } = await office.run(['report', ...flags]);
    expect(code).toBe(2);
    expect(io.errors.join('\n')).toContain(sentence);
  });

  it('fits a terminal of 80 columns, whatever it has to say', async () => {
    await bookMonth();
    for (const by of ['service', 'model', 'run', 'day', 'tag', 'hour']) {
      const { io } = await office.run(['report', '--by', by], ALL);
      expect(io.written.filter((line) => line.length > 80)).toEqual([]);
    }
  });

  it('tells the three costs, what is apart from them, and where figures come from', async () => {
    await bookMonth();
    const { io } = await office.run('report', ALL);
    const text = io.written.join('\n').replaceAll(/\s+/g, ' ');
    expect(text).toContain('Cost in EUR, without 5.00 GBP');
    expect(text).toMatch(/marginal >0\.\d+ .* cash >\*~\d+\.\d+ .* hardware ~24\.99 full >\*~\d+\.\d+/);
    expect(text).toContain('10.00 USD are in it as 9.20 EUR, at 0.92 (ECB, 2026-11-02).');
    expect(text).toContain('Other programs burnt 2.00 kWh (0.60 EUR) on these cards; that is in none of these costs.');
    expect(text).toContain('At the wall is (cards and host) / 0.9, with 60 W of host.');
    expect(text).toContain('load');
  });

  it('does not say that others burnt nothing where that cannot be told, and of how much', async () => {
    const untold = onCard(['sharing_unknown']);
    await book([untold, onCard()]);
    const alone = (await office.run('report')).io.written;
    expect(alone).toContainEqual(expect.stringMatching(/^other programs +\? +\?$/));
    expect(alone.join(' ').replaceAll(/\s+/g, ' ')).toContain(
      'Whether other programs burnt a part of 0.00100 kWh cannot be told: under WSL2 and in containers nobody lists them. All of it is booked as ours.',
    );
    expect((await json()).energy.active).toMatchObject({ entries: 2, untold: 1, untold_kwh: 0.001 });
    await office.store.meter({
      marks: [],
      stretches: [stretchOf('foreign', 'load', { at: NOW - DAY, millijoules: 7_200_000_000 })],
    });
    const beside = (await office.run('report')).io.written.join('\n');
    expect(beside).toMatch(/other programs +at least 2\.00 kWh/);
    expect(beside).toContain('Other programs burnt at least 2.00 kWh');
  });

  it('has no figure, and no zero, for what no rate takes home', async () => {
    await book([entryOf({ at: NOW - DAY })]);
    await office.store.charge([chargeSample(NOW - DAY, 3, { currency: 'USD' })]);
    const { io } = await office.run('report', 'report: { currency: USD }\n');
    const text = io.written.join('\n').replaceAll(/\s+/g, ' ');
    expect(text).toMatch(/marginal \? \? \? idle electricity 0.00 charges 3.00 cash \*3.00/);
    expect(text).toMatch(
      /\* marks costs that lack 0.0003\d* EUR, and \? those of which nothing else is known: there is no rate/,
    );
  });

  it('says of its rows what they were booked with, and not what is set by now', async () => {
    await book([entryOf({ at: NOW - DAY, method: 'assumed' }), onCard()]);
    const dear = 'energy: { cpu_watts: 45 }\n';
    const text = (await office.run('report', dear)).io.written.join(' ').replaceAll(/\s+/g, ' ');
    expect(text).toMatch(
      /~ energy of what no meter told is time × watts: 360 W in the mean of these rows; energy.cpu_watts/,
    );
    expect(text).toContain('Electricity is 0.300 EUR per kWh in the mean of these rows');
    expect(text).not.toContain('45 W');
    expect((await json()).booked_with).toEqual({
      assumed_watts: 360,
      prices: [{ currency: 'EUR', per_kwh: expect.closeTo(0.3, 6), assumed: null }],
    });
  });

  it('gives a group its whole name, and what has no rate a line below it', async () => {
    const service = 'a-service-with-a-long-name';
    for (const currency of ['USD', 'JPY'])
      await office.store.charge([chargeSample(NOW - DAY, 3, { currency, service })]);
    await book([entryOf({ at: NOW - DAY })]);
    const { io } = await office.run(['report', '--by', 'service']);
    const at = io.written.findIndex((line) => line.startsWith(service));
    expect(io.written.slice(at + 1, at + 3)).toEqual(['  and 3.00 JPY', '  and 3.00 USD']);
    expect(io.written.filter((line) => line.includes('of ours '))).toEqual([]);
  });

  it('marks what is assumed, and rounds no grams of CO2 to none', async () => {
    await book([entryOf({ at: NOW - DAY, method: 'assumed' })]);
    const { io } = await office.run('report', 'carbon: { grams_per_kwh: 381 }\n');
    const text = io.written.join(' ').replaceAll(/\s+/g, ' ');
    expect(text).toContain("A picture's own electricity is ~0.000300 EUR in the mean, from ~0.000300 to ~0.000300 EUR");
    expect(text).toContain('About 0.381 g of CO2, 0.381 g a picture');
  });

  it('says how to set what it does not know', async () => {
    await book([entryOf({ at: NOW - DAY })]);
    const { io } = await office.run('report');
    const text = io.written.join(' ');
    expect(text).toContain('set report: { hardware:');
    expect(text).toContain('energy.supply_efficiency');
  });

  it.each([
    ['', 'has no hardware in it; set report:'],
    ['report: { hardware: [{ price: 9, currency: USD, bought: 2026-03-01 }] }\n', 'there is no rate for USD.'],
    ['report: { hardware: [{ price: 9, bought: 2027-03-01 }] }\n', 'it was bought later, on 2027-03-01.'],
    ['report: { hardware: [{ price: 9, bought: 2020-03-01 }] }\n', 'its 36 months from 2020-03-01 are over.'],
    ['report: { hardware: [{ price: 9, bought: 2020-03-01, resale: 9 }] }\n', 'its price is its resale.'],
    [
      'report: { hardware: [{ price: 9, bought: 2026-03-01 }] }\n',
      'Hardware is as configured today, written off evenly',
    ],
    [
      'report: { hardware: [{ price: 9, bought: 2026-03-01 }, { price: 9, bought: 2026-05-01, months: 12 }, { price: 9, bought: 2020-03-01 }] }\n',
      'over 36 months from 2026-03-01 and 12 months from 2026-05-01, without what is not in it: its 36 months from 2020-03-01',
    ],
  ])('says why full cost has no hardware in it, or since when it has: %j', async (yaml, sentence) => {
    await book([entryOf({ at: NOW - DAY })]);
    const text = (await office.run('report', yaml)).io.written.join(' ');
    expect(text.replaceAll(/\s+/g, ' ')).toContain(sentence);
    expect(text.match(/hardware in it|Hardware is/g)).toHaveLength(1);
  });

  it.each([
    [
      '[{ price: 9, bought: 2026-03-01, resale: 10 }]',
      'report.hardware[0].resale cannot be 10: expected at most the price',
    ],
    ['{ price: 9, bought: 2026-03-01 }', 'expected a list, as [{ price: 1600, bought: 2026-03-01 }]'],
  ])('takes no hardware as %s', async (hardware, sentence) => {
    await expect(office.run('report', `report: { hardware: ${hardware} }\n`)).rejects.toThrow(sentence);
  });

  it('says that fixed charges are those of today', async () => {
    await book([entryOf({ at: NOW - DAY })]);
    const { io } = await office.run('report', '', { LANG: 'C.UTF-8', KILNWATT_TARIFF_FIXED_PER_MONTH: '12' });
    expect(io.written.join(' ')).toContain('Fixed charges are those of today, 12.00 EUR a month.');
  });

  it('of unknown energy says "at least", and nothing where nothing is known', async () => {
    await book([entryOf({ at: NOW - DAY, millijoules: null })]);
    const none = (await office.run('report', ALL)).io.written.join(' ');
    expect(none).not.toContain('of CO2');
    expect(await json()).toMatchObject({
      carbon: null,
      idle_part: null,
      trend: expect.arrayContaining([expect.objectContaining({ work_kwh: null })]),
    });
    await book([entryOf({ at: NOW - DAY })]);
    const some = (await office.run('report', ALL)).io.written.join('\n').replaceAll(/\s+/g, ' ');
    expect(some).toMatch(/At least 0\.\d+ g of CO2/);
    expect(some).toMatch(/At the wall, derived, in EUR kWh marginal cash full pictures >~0\.\d+/);
    expect(some).toMatch(/replicate flux-schnell ~0\.003 USD 0\.00\d+ EUR <0\.\d+ x/);
  });

  it('of a tag has no ratio to prices elsewhere', async () => {
    await book([entryOf({ at: NOW - DAY, tags: { client: 'acme' } })]);
    const { io } = await office.run(['report', '--tag', 'client=acme'], ALL);
    expect(io.written.join(' ')).toContain('There is no ratio to what is tagged');
    expect(io.written.filter((line) => / x( |$)/.test(line))).toEqual([]);
    expect((await json('--tag', 'client=acme')).compared_with).toBeNull();
  });

  it('has no exponents in its CSV', async () => {
    await book([entryOf({ at: NOW - DAY, millijoules: 1 })]);
    const { io } = await office.run(['report', '--csv']);
    expect(io.written[1]).toMatch(/^total,,EUR,1,0\.000000000277/);
  });

  it('of a few pictures of one day is not mostly prices elsewhere, of which the page and JSON have all', async () => {
    await book([0, 1, 2].map((n) => entryOf({ at: NOW - n * 60_000 })));
    const { io } = await office.run('report');
    const title = io.written.findIndex((line) => line.startsWith('3 such pictures elsewhere'));
    const prices = io.written.slice(title + 2, io.written.indexOf('', title));
    const all = (await json()).comparison;
    expect(prices).toHaveLength(5);
    expect([prices[0], prices.at(-1)]).toEqual(
      [all[0], all.at(-1)].map(({ provider, model }) => expect.stringContaining(`${provider} ${model}`)),
    );
    const text = io.written.join(' ');
    expect(text).toContain(`${all.length - 5} prices more: \`kilnwatt report --json\` has all.`);
    expect(text).not.toContain('at most');
    await office.run(['report', '--html', office.path('report.html')]);
    const page = readFileSync(office.path('report.html'), 'utf8');
    expect(all.filter(({ model }: { model: string }) => !page.includes(model))).toEqual([]);
    expect(page).not.toContain('prices more');
  });

  it.each([2, 3, 29, 30, 31])('plots %d days from the first with anything on, as wide as their names', async (days) => {
    await book(Array.from({ length: days }, (_, day) => entryOf({ at: NOW - day * DAY })));
    const { io } = await office.run(['report', '--from', '2026-10-01']);
    const place = io.written.findIndex((line) => line.startsWith('pictures a day, at most 1'));
    const dates = io.written[place + 8] ?? '';
    expect(dates).toMatch(/^2026-1\d-\d\d +2026-11-30$/);
    expect(io.written[place + 3]).toBe('█'.repeat(dates.length));
    expect(dates.length).toBeLessThanOrEqual(80);
  });

  it.each([
    ['cards', [onCard()], 'Energy of the cards', 'All energy is of the cards alone; `kilnwatt telemetry calibrate`'],
    ['processors', [onHost('derived')], 'Energy of the processors', 'All energy is of the processors alone; what the'],
    [
      'cards and processors',
      [onCard(), onHost('derived')],
      'Energy of the cards and processors',
      'All energy is of the',
    ],
    [
      'cards and assumed',
      [onCard(), onHost('assumed')],
      'Energy of the cards, and assumed',
      'What is metered is of the',
    ],
  ])('says that energy is of %s where it is', async (_, entries, title, note) => {
    await book(entries);
    const { io } = await office.run('report');
    expect(io.written).toContain(title);
    expect(io.written.join(' ')).toContain(note);
    const wall = await office.run('report', ALL);
    expect(wall.io.written.join(' ')).toMatch(/At the wall is \([a-z, ]+ and host\) \/ 0\.9/);
    await office.run(['report', '--html', office.path('report.html')]);
    expect(readFileSync(office.path('report.html'), 'utf8')).toContain(`<b>${title}</b>`);
  });

  it('of what was only assumed says so, and nothing of meters', async () => {
    await book([onHost('assumed')]);
    const { io } = await office.run('report');
    expect(io.written).toContain('Energy, assumed');
    expect(io.written.join(' ')).toContain('~ energy is time × watts');
    expect(io.written.join(' ')).not.toMatch(/cards|calibrate/);
    expect(await json()).toMatchObject({ energy_of: ['assumed'] });
  });

  it('draws bars in blocks, and in plain signs where the language has no more', async () => {
    await bookMonth();
    expect((await office.run('report')).io.written.join('')).toMatch(/█/);
    const plain = (await office.run('report', '', { LANG: 'C' })).io.written;
    expect(plain.filter((line) => /[^ -~]/.test(line))).toEqual([]);
    expect(plain.join('')).toMatch(/#{2}/);
  });

  it('draws nothing where nothing was burnt, and tells the money all the same', async () => {
    await office.store.charge([chargeSample(NOW - DAY, 10)]);
    const { io } = await office.run('report');
    expect(io.written.join('\n')).toMatch(/charges +10\.00\ncash +10\.00/);
    expect(io.written.filter((line) => line.includes('at most'))).toEqual([]);
  });

  it('writes a line a group as CSV, whose sums are those of the last line', async () => {
    await bookMonth();
    const { io } = await office.run(['report', '--csv', '--by', 'service'], ALL);
    const [head = [], ...lines] = io.written.map((line) => line.split(','));
    const full = head.indexOf('full');
    const amounts = lines.map((line) => Math.round(Number(line[full]) * 1e9));
    expect(lines.map(([, name]) => name)).toEqual(['hardware', 'midjourney', 'electricity', 'local', 'runpod', '']);
    expect(lines.map(([line]) => line)).toEqual([...Array(5).fill('group'), 'total']);
    expect(amounts.slice(0, -1).reduce((sum, amount) => sum + amount, 0)).toBe(amounts.at(-1));
  });

  it('writes one page with nothing from elsewhere, and with what a name says as text', async () => {
    await book([entryOf({ at: NOW - DAY, model: '<script>alert(1)</script>' })]);
    const file = office.path('report.html');
    const { code, io } = await office.run(['report', '--html', file, '--by', 'model'], ALL);
    expect([code, io.written, io.errors]).toEqual([0, [], [`Written to ${file}.`]]);
    const page = readFileSync(file, 'utf8');
    expect(page).toContain('&lt;script&gt;alert(1)');
    expect(page).toContain('<svg');
    expect(page).not.toMatch(/<script|<link|<img|https?:|url\(/);
  });

  it('takes the place of an older page, and says so where it cannot', async () => {
    const file = office.path('report.html');
    writeFileSync(file, 'old');
    await office.run(['report', '--html', file]);
    expect(readFileSync(file, 'utf8')).toContain('</html>');
    const { code, io } = await office.run(['report', '--html', office.path('missing/report.html')]);
    expect(code).toBe(1);
    expect(io.errors.join()).toContain('name a file in a folder that is there');
  });

  it('groups by one tag, and leaves only what carries one', async () => {
    await book([
      entryOf({ at: NOW - DAY, tags: { client: 'acme' } }),
      entryOf({ at: NOW - DAY, tags: { client: 'other', project: 'kiln' } }),
    ]);
    const byClient = await json('--by', 'tag:client');
    expect(byClient.groups.map(({ name }: { name: string }) => name).sort()).toEqual(['acme', 'other']);
    expect(await json('--tag', 'client=acme')).toMatchObject({ pictures: 1, tags: { client: 'acme' } });
  });
});

describe('report --audit', () => {
  const begin = NOW - 4 * 3_600_000;
  const mark = (at: number, counter: number) => {
    const rest = { integral: null, foreign: 0, after: 'rest' as const, batchId: null };
    return { gpu: 'GPU-1', at, launch: 'l', counter, ...rest };
  };

  it('says that there is nothing to audit where no card was ever metered', async () => {
    const { code, io } = await office.run(['report', '--audit']);
    expect([code, io.written.join()]).toEqual([0, expect.stringContaining('nothing to audit')]);
  });

  const idle = (millijoules: number): Stretch => ({
    ...stretchOf('idle', 'no_context', { at: begin + 10_000, millijoules }),
    from: begin,
  });
  const marks = [mark(begin, 1000), mark(begin + 10_000, 701_000)];

  it('prints that the parts of a card are its counter', async () => {
    await office.store.meter({ marks, stretches: [idle(700_000)] });
    const { code, io } = await office.run(['report', '--audit']);
    expect(code).toBe(0);
    expect(io.written[0]).toContain('active + overhead + idle + foreign + unknown = counter');
    expect(io.written.join('\n')).toMatch(/idle +700\.000 J[\s\S]*counter +700\.000 J/);
  });

  it('ends with 1 and names the hour where they are not', async () => {
    await office.store.meter({ marks, stretches: [idle(900_000)] });
    const { code, io } = await office.run(['report', '--audit']);
    expect(code).toBe(1);
    expect(io.written.join('\n')).toMatch(/does not add up, in 1 hour\n[\s\S]*\n {2}2026-\d\d-\d\dT\d\d:/);
    const asJson = await office.run(['report', '--audit', '--json']);
    const { ok, cards } = JSON.parse(asJson.io.written.join(''));
    expect([ok, cards.length, cards[0].gpu]).toEqual([false, 1, 'GPU-1']);
    // By the clock of the tariff, wherever the host is.
    const [{ hour, sentence }] = cards[0].faults;
    expect([hour, sentence.split(': ')[0]]).toEqual([expect.stringMatching(/T\d\d:00\+01:00$/), hour]);
  });
});

function onCard(flags: readonly EnergyFlag[] = []): Entry {
  const entry = entryOf({ at: NOW - DAY });
  return { ...entry, receipt: { ...entry.receipt, energy: { ...entry.receipt.energy, flags } } };
}

/** A picture of the processor. */
function onHost(method: 'derived' | 'assumed'): Entry {
  const { span: _, ...entry } = entryOf({ at: NOW - DAY, method });
  return entry;
}

async function json(...flags: string[]) {
  const { code, io } = await office.run(['report', '--json', ...flags]);
  expect(code).toBe(0);
  return JSON.parse(io.written.join(''));
}

async function book(entries: readonly Entry[], stretches: readonly Stretch[] = []): Promise<void> {
  await office.store.settle({ batchId: 'b', at: NOW, entries, jobs: [], meter: { marks: [], stretches } });
}

/** A month with some of everything. */
async function bookMonth(): Promise<void> {
  const days = Array.from({ length: 30 }, (_, day) => ({ day, at: NOW - day * DAY - 3_600_000 }));
  const entries = days.flatMap(({ day, at }) => [
    ...Array.from({ length: (day % 4) + 1 }, (_, n) => {
      const millijoules = 3_000_000 + n * 1000;
      const more = n % 2 === 0 ? { model: 'sdxl' } : { model: 'flux-dev', tags: { client: 'acme' } };
      return entryOf({ at: at - n * 60_000, millijoules, run: `r${day % 5}`, ...more });
    }),
    entryOf({ at, millijoules: day === 3 ? null : 9_000_000 }, day === 3 ? 'failed' : 'load'),
  ]);
  const stretches = days.flatMap(({ day, at }) => [
    stretchOf('idle', 'resident', { at, millijoules: 300_000_000 }),
    stretchOf('idle', 'no_context', { at, millijoules: 500_000_000 }),
    ...(day % 4 === 0 ? [stretchOf('foreign', 'process', { at, millijoules: 900_000_000 })] : []),
    ...(day === 9 ? [stretchOf('unknown', 'off', { at, millijoules: null })] : []),
  ]);
  await book(entries, stretches);
  await office.store.charge([
    chargeSample(NOW - DAY, 10, { currency: 'USD' }),
    chargeSample(NOW - DAY, -2),
    chargeSample(NOW - DAY, 5, { currency: 'GBP', service: 'runpod' }),
  ]);
}
