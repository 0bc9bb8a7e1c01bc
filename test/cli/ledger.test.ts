import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { entryOf, stretchOf } from '../cost/ledger-samples.ts';
import { NOW, Office } from './bookkeeping.ts';

let office: Office;
let other: Office;
beforeEach(() => {
  office = new Office();
  other = new Office();
});
afterEach(async () => {
  await office.close();
  await other.close();
});

const EVER = { from: 0, to: Number.MAX_SAFE_INTEGER };

describe('kilnwatt log-cost', () => {
  it('books quantity times unit cost exactly, and says what it booked', async () => {
    const { code, io } = await office.run(['log-cost', 'Replicate', 'image', '10', '0.003', '--id', 'one']);
    expect(code).toBe(0);
    expect(io.written).toEqual(['Booked: charge Replicate image, 10 x 0.003 = 0.03 EUR (one)']);
    expect(await charged()).toMatchObject([
      { service: 'Replicate', quantity: 10, unit_cost: 0.003, total_cost: 0.03, at: NOW },
    ]);
  });

  it('is a purchase each time, but for the same id', async () => {
    const command = ['log-cost', 'midjourney', 'subscription', '1', '10'];
    await office.run(command);
    await office.run(command);
    await office.run([...command, '--id', 'mine']);
    const { io } = await office.run([...command, '--id', 'mine']);
    expect(await charged()).toHaveLength(3);
    expect(io.written[0]).toMatch(/^Was booked before/);
  });

  it('keeps date, currency, tags and note', async () => {
    const flags = ['--at', '2026-11-03', '--currency', 'usd', '--tag', 'client=acme', '--note', 'the big plan'];
    await office.run(['log-cost', 'runpod', 'gpu_hour', '2.5', '0.123456789', ...flags]);
    expect(await charged()).toMatchObject([
      {
        at: Date.parse('2026-11-03T00:00+01:00'),
        currency: 'USD',
        total_cost: 0.308641973,
        tags: { client: 'acme', note: 'the big plan' },
        meter: 'invoice',
      },
    ]);
  });

  it('books a credit with a minus, and a correction as it is, below nothing too', async () => {
    await office.run(['log-cost', 'runpod', 'refund', '1', '4', '--credit']);
    await office.run(['log-cost', 'runpod', 'gpu_hour', '3', '2', '--id', 'wrong']);
    const { code, io } = await office.run(['log-cost', 'runpod', 'gpu_hour', '-1', '2', '--correct', 'wrong']);
    expect([code, io.errors]).toEqual([0, []]);
    expect(await charged()).toMatchObject([
      { kind: 'credit', total_cost: -4, corrects: null },
      { kind: 'charge', total_cost: 6 },
      { kind: 'correction', total_cost: -2, corrects: 'wrong' },
    ]);
  });

  it.each([
    [['a', 'b', '1', '0.0000000001'], 'more than nine decimals'],
    [['a', 'b', '1e3', '1'], 'needs a plain decimal number'],
    [['a', 'b', '1', '98765432.123456789'], 'too large to be kept to nine decimals'],
    [['a', 'b', '-1', '1'], 'is negative'],
    [['a', 'b', '-1', '-30'], 'is negative'],
    [['a', 'b', '-1', '-30', '--credit'], 'log-cost, quantity: is negative'],
    [['a', 'b', '1', '-30'], 'log-cost, unit cost: is negative'],
    [
      ['a', 'b', '1.000,5', '1'],
      'log-cost, quantity: needs a plain decimal number as 12.50, not "1.000,5": decimals come',
    ],
    [['a\u001b[2J', 'b', '1', '1'], 'log-cost, service: has a control character or the end of a line in it (U+001B)'],
    [['a', 'b\nc', '1', '1'], 'log-cost, type: has a control character or the end of a line in it (U+000A)'],
    [['a', 'b', '1', '1', '--note', 'x\u202ey'], 'log-cost, note: has a control character'],
    [['a', 'b', '1', '1', '--tag', 'client=a\tb'], 'log-cost, tags: has a control character'],
    [['a', 'b', '1', '1', '--id', 'x\u0007'], 'log-cost, id: has a control character'],
    [[' ', 'b', '1', '1'], 'needs a service and a type'],
    [['a', 'b', '1', '1', '--currency', 'euros'], 'needs a currency of three letters'],
    [['a', 'b', '1', '1', '--at', 'today'], '--at: needs a date'],
    [['a', 'b', '1', '1', '--correct', 'nothing'], '--correct: there is no such row'],
    [['a', 'b', '1', '1', '--correct', 'x', '--credit'], '--correct: is a correction; leave --credit out'],
  ])('refuses %j and books nothing', async (words, sentence) => {
    const { code, io } = await office.run(['log-cost', ...words]);
    expect(code).toBe(2);
    expect(io.errors.join('\n')).toContain(sentence);
    expect(await charged()).toEqual([]);
  });

  it('leaves energy to the meters: its rows are not corrected by hand', async () => {
    const entry = entryOf({ at: NOW });
    await office.store.settle({ batchId: 'b', at: NOW, entries: [entry], jobs: [] });
    const { code, io } = await office.run(['log-cost', 'a', 'b', '1', '1', '--correct', entry.id]);
    expect([code, io.errors.join()]).toEqual([2, expect.stringContaining('only charges are corrected by hand')]);
  });
});

describe('a correction', () => {
  const wrong = ['log-cost', 'midjourney', 'subscription', '1', '30', '--currency', 'USD', '--id', 'm'];
  const header = 'at,service,type,quantity,unit_cost,currency,kind,tags,corrects,id\n';

  it('has the currency and the tags of what it corrects, and not its note', async () => {
    await office.run([...wrong, '--tag', 'client=acme', '--note', 'by hand']);
    await office.run(['log-cost', 'midjourney', 'subscription', '-1', '20', '--correct', 'm', '--note', 'was none']);
    await office.run(['ledger', 'import', written(`${header}2026-11-30,midjourney,x,-1,2,,correction,,m,n\n`)]);
    expect((await charged()).slice(1)).toMatchObject([
      { currency: 'USD', total_cost: -20, tags: { client: 'acme', note: 'was none' } },
      { currency: 'USD', total_cost: -2, tags: { client: 'acme' } },
    ]);
  });

  it.each([
    [['--currency', 'JPY'], '--correct: m is in USD, and so is its correction, not in JPY'],
    [['--tag', 'client=other'], '--correct: m is tagged client=acme, and so is its correction'],
  ])('is refused with %j', async (flags, sentence) => {
    await office.run([...wrong, '--tag', 'client=acme']);
    const { code, io } = await office.run(['log-cost', 'midjourney', 'x', '-1', '30', '--correct', 'm', ...flags]);
    expect([code, io.errors.join()]).toEqual([2, expect.stringContaining(sentence)]);
    expect(await charged()).toHaveLength(1);
  });

  it.each([
    ['of what is nowhere', '2026-11-03,a,b,-1,1,,correction,,nowhere,\n', ':2: there is no such row'],
    [
      'in another currency than a line above',
      '2026-11-03,a,b,1,1,USD,,,,first\n2026-11-04,a,b,-1,1,JPY,correction,,first,\n',
      ':3: first is in USD, and so is its correction, not in JPY',
    ],
  ])('%s is refused in a file, of which nothing is booked', async (_, lines, sentence) => {
    const { code, io } = await office.run(['ledger', 'import', written(header + lines)]);
    expect([code, io.errors.join()]).toEqual([2, expect.stringContaining(sentence)]);
    expect(await charged()).toEqual([]);
  });

  it.each([
    [['other', 'x', '-1', '30'], '--correct: m is of midjourney, and so is its correction, not of other'],
    [['midjourney', 'x', '-1', '30', '--at', '2026-11-01'], '--correct: m is of 2026-11-03T23:00:00.000Z'],
    [
      ['midjourney', 'x', '-1', '30.01'],
      '--correct: leaves -0.01 USD of m; what came back beyond its cost is a credit',
    ],
  ])('is refused as %j', async (words, sentence) => {
    await office.run([...wrong, '--at', '2026-11-04']);
    const { code, io } = await office.run(['log-cost', ...words, '--correct', 'm']);
    expect([code, io.errors.join()]).toEqual([2, expect.stringContaining(sentence)]);
    expect(await charged()).toHaveLength(1);
  });

  it('counts with those before it, and itself once', async () => {
    await office.run(wrong);
    const first = ['log-cost', 'midjourney', 'x', '-1', '20', '--correct', 'm', '--id', 'first'];
    expect((await office.run(first)).code).toBe(0);
    expect((await office.run(first)).io.written.join()).toMatch(/^Was booked before/);
    const second = await office.run(['log-cost', 'midjourney', 'x', '-1', '11', '--correct', 'm']);
    expect([second.code, second.io.errors.join()]).toEqual([2, expect.stringContaining('leaves -1 USD of m')]);
    const lines = `2026-11-30,midjourney,x,-1,6,,correction,,m,\n`;
    const file = await office.run(['ledger', 'import', written(header + lines.repeat(2))]);
    expect([file.code, file.io.errors.join()]).toEqual([2, expect.stringContaining(':3: leaves -2 USD of m')]);
    expect(await charged()).toHaveLength(2);
  });

  it('may be of a line above in the same file', async () => {
    const lines = '2026-11-03,a,b,1,1,USD,,client=acme,,first\n2026-11-04,a,b,-1,1,,correction,,first,\n';
    expect((await office.run(['ledger', 'import', written(header + lines)])).code).toBe(0);
    expect(await charged()).toMatchObject([{}, { currency: 'USD', tags: { client: 'acme' }, corrects: 'first' }]);
  });
});

describe('an id that is booked already', () => {
  it('with another content is refused, with what is booked', async () => {
    await office.run(['log-cost', 'midjourney', 'subscription', '1', '30', '--id', 'mine']);
    const { code, io } = await office.run(['log-cost', 'midjourney', 'subscription', '1', '35', '--id', 'mine']);
    const sentence =
      '--id: mine is booked already, with the unit cost "30", not "35"; correct that (log-cost --correct';
    expect([code, io.errors.join()]).toEqual([2, expect.stringContaining(sentence)]);
    const later = await office.run([
      'log-cost',
      'midjourney',
      'subscription',
      '1',
      '30',
      '--id',
      'mine',
      '--at',
      '2026-11-02',
    ]);
    expect([later.code, later.io.errors.join()]).toEqual([
      2,
      expect.stringContaining('with the time 2026-11-30T11:00'),
    ]);
  });

  it.each([
    ['in the ledger', '2026-11-03,a,b,1,2,one\n2026-11-03,a,b,1,9,mine\n', ':3: mine is booked already'],
    ['in the same file', '2026-11-03,a,b,1,2,one\n2026-11-03,a,b,3,2,one\n', ':3: one is booked already'],
  ])('%s is refused in a file by its line, and nothing is booked', async (_, lines, sentence) => {
    await office.run(['log-cost', 'a', 'b', '1', '1', '--id', 'mine', '--at', '2026-11-03']);
    const file = written(`at,service,type,quantity,unit_cost,id\n${lines}`);
    const { code, io } = await office.run(['ledger', 'import', file]);
    expect([code, io.errors.join()]).toEqual([2, expect.stringContaining(sentence)]);
    expect(await charged()).toHaveLength(1);
  });
});

describe('kilnwatt ledger', () => {
  it.each([
    ['CSV', []],
    ['JSON lines', ['--json']],
  ])('exports all rows as %s, which another takes the charges of as they were', async (_, flags) => {
    await bookSome();
    const file = office.path('all');
    await office.run(['ledger', 'export', file, ...flags]);
    const { code, io } = await other.run(['ledger', 'import', file]);
    expect([code, io.written]).toEqual([0, ['3 charges booked, 2 lines of energy left out.']]);
    const plain = (rows: Awaited<ReturnType<typeof charged>>) => rows.map(({ seq: _seq, ...row }) => row);
    expect(plain(await charged(other))).toEqual(plain(await charged(office)));
    const again = await office.run(['ledger', 'import', file]);
    expect([again.code, again.io.written.join()]).toEqual([
      0,
      expect.stringMatching(/^0 charges booked, 3 booked before/),
    ]);
  });

  it('exports every column, unknown ones empty, and times that say their zone', async () => {
    await bookSome();
    const { io } = await office.run(['ledger', 'export']);
    expect(io.written[0]).toMatch(/^id,seq,at,kind,cause,service,.*,tags,corrects$/);
    expect(io.written).toHaveLength(6);
    expect(io.written[1]).toContain('2026-11-30T11:00:00.000Z,active,,local,electricity,0.001,0.3,0.0003,EUR');
  });

  it('exports a span of it', async () => {
    await bookSome();
    const { io } = await office.run(['ledger', 'export', '--from', '2026-11-01', '--to', '2026-11-28', '--json']);
    expect(io.written.map((line) => JSON.parse(line).service)).toEqual(['midjourney']);
  });

  it('imports what somebody wrote by hand, and the same file only once', async () => {
    const file = written(
      'date;service;type;quantity;unit_cost;currency;kind;tags\n2026-11-03;runpod;gpu_hour;2;0.40;USD;;client=acme\n2026-11-03;runpod;gpu_hour;2;0.40;USD;;client=acme\n2026-11-04T10:00;runpod;refund;1;0.2;USD;credit;\n',
    );
    expect((await office.run(['ledger', 'import', file])).io.written).toEqual(['3 charges booked.']);
    expect((await office.run(['ledger', 'import', file])).io.written).toEqual(['0 charges booked, 3 booked before.']);
    expect(await charged()).toMatchObject([
      { total_cost: 0.8, tags: { client: 'acme' }, currency: 'USD' },
      { total_cost: 0.8 },
      { total_cost: -0.2, kind: 'credit', at: Date.parse('2026-11-04T10:00+01:00') },
    ]);
  });

  it('says of a file with a header and no line that there is nothing in it', async () => {
    const file = written('at,service,type,quantity,unit_cost\n');
    expect((await office.run(['ledger', 'import', file])).io.written).toEqual([
      `${file} has no line with a charge; nothing is booked.`,
    ]);
  });

  it('names the lines that it takes for booked, also where another file had them', async () => {
    const lines = ['at,service,type,quantity,unit_cost', '2026-11-03,a,b,1,1', '2026-11-04,a,b,1,1', ''];
    await office.run(['ledger', 'import', written(lines.toSpliced(1, 1).join('\n'))]);
    const { io } = await office.run(['ledger', 'import', written(lines.join('\n'))]);
    expect(io.written).toEqual(['1 charge booked, 1 booked before.']);
    expect(io.errors).toEqual([expect.stringMatching(/:3: was booked before as [0-9a-f]{32}, and is not again\.$/)]);
  });

  it('warns of what is dated later than now, which no report has yet', async () => {
    const file = written('at,service,type,quantity,unit_cost\n2026-11-03,a,b,1,1\n2030-01-01,a,b,1,1\n');
    const imported = (await office.run(['ledger', 'import', file])).io.errors;
    expect(imported).toEqual([expect.stringMatching(/^! 1 charge of these is dated later than now: /)]);
    const logged = (await office.run(['log-cost', 'a', 'b', '1', '1', '--at', '2030-01-01'])).io.errors;
    expect(logged).toEqual([expect.stringMatching(/^! It is dated later than now: /)]);
  });

  it.each([
    ['2026-03-29T02:30', /skipped on the clock of Europe\/Berlin/],
    ['2026-10-25T02:30', /comes twice on the clock of Europe\/Berlin/],
  ])('says what it takes for %s, which a clock shows never or twice', async (at, sentence) => {
    const { code, io } = await office.run(['log-cost', 'a', 'b', '1', '1', '--at', at]);
    expect([code, io.errors]).toEqual([0, [expect.stringMatching(sentence)]]);
  });

  it.each([
    ['without ids', ''],
    ['with ids', 'mine'],
  ])('books a file %s once, also where zone and currency are other ones by then', async (_, id) => {
    const file = written(`at,service,type,quantity,unit_cost,id\n2026-11-03T10:00,a,b,1,1,${id}\n`);
    expect((await office.run(['ledger', 'import', file])).io.written).toEqual(['1 charge booked.']);
    const { code, io } = await office.run(['ledger', 'import', file], '', {
      KILNWATT_TARIFF_TIMEZONE: 'America/New_York',
      KILNWATT_TARIFF_CURRENCY: 'USD',
    });
    expect([code, io.errors, io.written]).toEqual([0, [], ['0 charges booked, 1 booked before.']]);
    expect(await charged()).toMatchObject([{ currency: 'EUR', at: Date.parse('2026-11-03T10:00+01:00') }]);
  });

  it('refuses what is not in UTF-8, of which it would book other letters', async () => {
    const file = written('');
    writeFileSync(file, Buffer.from('at,service,type,quantity,unit_cost\n2026-11-03,Caf\u00e9,b,1,1\n', 'latin1'));
    const { code, io } = await office.run(['ledger', 'import', file]);
    expect([code, io.errors.join()]).toEqual([2, expect.stringContaining(': is not in UTF-8')]);
    expect(await charged()).toEqual([]);
  });

  it.each([
    ['03.11.2026;a;b;1;1', ':2, at: needs a date as 2026-11-30'],
    [
      '2026-11-03;a;b;2,5;1',
      ':2, quantity: needs a plain decimal number as 12.50, not "2,5": decimals come after a point',
    ],
    ['2026-11-03;a;b;1;0,79', ':2, unit cost: needs a plain decimal number'],
    ['2026-11-03;a;"b\nc";1;1', ':2, type: has a control character'],
  ])('says by its column what a spreadsheet wrote its own way: %j', async (line, sentence) => {
    const { code, io } = await office.run([
      'ledger',
      'import',
      written(`at;service;type;quantity;unit_cost\n${line}\n`),
    ]);
    expect([code, io.errors.join()]).toEqual([2, expect.stringContaining(sentence)]);
    expect(await charged()).toEqual([]);
  });

  it("takes the seed's table, with its floats", async () => {
    const file = written(
      'timestamp,service,resource_type,quantity,unit_cost,total_cost\n2026-11-03T10:00:00,Replicate,image,3,0.1,0.30000000000000004\n',
    );
    await office.run(['ledger', 'import', file]);
    expect(await charged()).toMatchObject([{ total_cost: 0.3, currency: 'EUR' }]);
  });

  it.each([
    [
      'a line that lacks something',
      'at,service,resource_type,quantity,unit_cost\n2026-11-03,a,b,1,1\n2026-11-03,,b,1,1\n',
      ':3: has no service',
    ],
    [
      'a sum that is none',
      'at,service,type,quantity,unit_cost,total_cost\n2026-11-03,a,b,3,2,7\n',
      ':2: has a total_cost of 7, and its quantity x unit_cost is 6',
    ],
    ['a column that is unknown', 'at,service,colour\n', ':1: has the column "colour"'],
    [
      'a date that is none',
      'at,service,type,quantity,unit_cost\n03.11.2026,a,b,1,1\n',
      ':2, at: needs a date as 2026-11-30',
    ],
    [
      'a number with a comma',
      'at,service,type,quantity,unit_cost\n2026-11-03,a,b,1,"1,5"\n',
      ':2, unit cost: needs a plain decimal number',
    ],
    [
      'too many cells',
      'at,service,type,quantity,unit_cost\n2026-11-03,a,b,1,1,5\n',
      ':2: has 6 cells where the header has 5',
    ],
    ['a quote that never ends', 'at,service\n2026-11-03,"a\n', ':2: cannot be read as CSV'],
    [
      'what is no JSON',
      '{"at":"2026-11-03","service":"a","type":"b","quantity":1,"unit_cost":2}\n{"at":\n',
      ':2: is no JSON object',
    ],
    [
      'a kind that is none',
      'at,service,type,quantity,unit_cost,kind\n2026-11-03,a,b,1,1,gift\n',
      ':2: has the kind "gift"',
    ],
  ])('refuses a file with %s by its line, and books nothing of it', async (_, text, sentence) => {
    const { code, io } = await office.run(['ledger', 'import', written(text)]);
    expect(code).toBe(2);
    expect(io.errors.join('\n')).toContain(sentence);
    expect(await charged()).toEqual([]);
  });

  it('says which file it cannot read', async () => {
    const { code, io } = await office.run(['ledger', 'import', office.path('none.csv')]);
    expect([code, io.errors.join()]).toEqual([2, expect.stringContaining('none.csv: cannot be read')]);
  });

  it('lists the last rows, the youngest at the end', async () => {
    await bookSome();
    const { io } = await office.run(['ledger', 'ls', '--charges', '--limit', '2']);
    expect(io.written).toEqual([
      expect.stringMatching(/^2026-11-29 12:00 {2}credit +runpod +refund +-4 EUR +\S+$/),
      expect.stringMatching(/^2026-11-30 12:00 {2}charge +midjourney +"quoted, name" +0\.1 EUR +\S+$/),
    ]);
    const all = await office.run(['ledger', 'ls', '--json']);
    expect(all.io.written.map((line) => JSON.parse(line).kind).sort()).toEqual([
      'active',
      'charge',
      'charge',
      'credit',
      'unknown',
    ]);
  });

  it('says that there is nothing', async () => {
    const { code, io } = await office.run(['ledger', 'ls']);
    expect([code, io.written]).toEqual([0, []]);
    expect(io.errors.join()).toContain('There is nothing of that in the ledger');
  });
});

function written(text: string): string {
  const file = office.path('charges.csv');
  writeFileSync(file, text);
  expect(readFileSync(file, 'utf8')).toBe(text);
  return file;
}

async function charged({ store } = office) {
  const rows = await store.ledger(EVER, 0, 1000);
  return rows.filter(({ kind }) => ['charge', 'credit', 'correction'].includes(kind));
}

async function bookSome(): Promise<void> {
  const stretches = [stretchOf('unknown', 'off', { at: NOW, millijoules: null })];
  await office.store.settle({
    batchId: 'b',
    at: NOW,
    entries: [entryOf({ at: NOW })],
    jobs: [],
    meter: { marks: [], stretches },
  });
  const log = (words: readonly string[]) => office.run(['log-cost', ...words]);
  await log([
    'midjourney',
    'subscription',
    '1',
    '10',
    '--at',
    '2026-11-27',
    '--tag',
    'client=acme',
    '--note',
    'a "note"',
  ]);
  await log(['runpod', 'refund', '1', '4', '--credit', '--at', '2026-11-29T12:00']);
  await log(['midjourney', '"quoted, name"', '1', '0.1']);
}
