import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Bookkeeper } from '../../src/bookkeeper.ts';
import { StorageError, UnavailableError } from '../../src/errors.ts';
import type { Device, MeterBooking, Reading } from '../../src/ports.ts';
import { FakeProvider } from '../../src/provider/fake.ts';
import { adoptionOf } from '../../src/recovery.ts';
import { metered, PRICES } from '../cost/batches.ts';
import { foundPicture, nextBatch, receiptsOf, resultWith } from '../cost/month/batch.ts';
import { Ledger } from '../cost/month/ledger.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { settled, Workshop } from './workshop.ts';

const GPU = 'GPU-1';
const CARD: Device = { id: 'cuda:0', kind: 'cuda', uuid: GPU, name: 'a card' };

/** A bookkeeper whose meters are told by the test, and whose disk refuses when it is told to. */
class Office {
  readonly clock = new ManualClock();
  readonly ledger = new Ledger();
  readonly lines: string[] = [];
  /** What the disk says to the next writes. */
  refusals: Error[] = [];
  watched = 0;
  #listener: (reading: Reading) => void = () => {};
  #launches = 0;

  open(devices: readonly Device[] = [CARD]): Promise<Bookkeeper | null> {
    this.#launches += 1;
    const handle = this.ledger.open();
    const meter = async (booking: MeterBooking) => {
      const refusal = this.refusals.shift();
      if (refusal !== undefined) throw refusal;
      await handle.meter(booking);
    };
    return Bookkeeper.open({
      clock: this.clock,
      store: { meter, chains: () => handle.chains(), bookedOf: (ids) => handle.bookedOf(ids) },
      launch: `launch${this.#launches}`,
      tariff: PRICES.tariff,
      log: (line) => this.lines.push(line),
      telemetry: {
        watch: (listener) => {
          this.#listener = listener;
          this.watched += 1;
          return {
            stop: async () => {
              this.watched -= 1;
            },
          };
        },
      },
      provider: { devices, pids: () => [] },
    });
  }

  async opened(): Promise<Bookkeeper> {
    const keeper = await this.open();
    if (keeper === null) throw new Error('there is a card');
    return keeper;
  }

  /** A reading a second, at 100 W. */
  async read(from: number, seconds: number): Promise<void> {
    for (let second = from; second < from + seconds; second += 1) {
      this.#listener({ kind: 'counter', at: second * 1_000, gpu: GPU, millijoules: second * 100_000, processes: [] });
      await undefined;
    }
    await turns();
  }

  get marks(): readonly (readonly [number, string])[] {
    return (this.ledger.marks.get(GPU) ?? []).map(({ at, after }) => [at / 1_000, after]);
  }

  get rows(): readonly string[] {
    return this.ledger.rows.map(
      ({ kind, cause, energy_mj: energy }) => `${kind} ${cause ?? '-'} ${(energy ?? 0) / 1_000}`,
    );
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) await undefined;
}

const broken = () => new StorageError('it is broken', { code: 'internal' });
const full = () => new StorageError('the disk is full', { code: 'disk_full' });

describe('the bookkeeper', () => {
  it('is not there where no card is', async () => {
    const office = new Office();
    expect(await office.open([{ id: 'cpu', kind: 'cpu', uuid: null, name: 'a processor' }])).toBeNull();
    expect(office.watched).toBe(0);
  });

  it('has marks on disk every ten seconds, and a last one when it closes', async () => {
    const office = new Office();
    const keeper = await office.opened();
    await office.read(1, 25);
    expect(office.marks).toEqual([
      [1, 'rest'],
      [11, 'rest'],
      [21, 'rest'],
    ]);
    await keeper.close();
    await keeper.close();
    expect(office.marks.at(-1)).toEqual([25, 'off']);
    expect(office.rows).toEqual(['idle no_context 2400']);
    expect(office.watched).toBe(0);
  });

  it('waits for a disk that is full, writes everything in order when there is room, and holds up nobody', async () => {
    const office = new Office();
    const keeper = await office.opened();
    office.refusals = [full(), full()];
    await office.read(1, 25);
    keeper.begin('cuda:0', 'launch1-1');
    await office.read(26, 5);
    const batch = nextBatch('launch1-1', 'cuda:0', 1);
    const { meter } = keeper.end(batch, resultWith(batch, [], null));
    // A settlement that comes through first must not leave a hole behind.
    expect(meter?.marks.slice(0, 3).map(({ at }) => at)).toEqual([1_000, 11_000, 21_000]);
    expect(meter?.stretches[0]).toMatchObject({ kind: 'idle', from: 1_000, to: 25_000 });
    expect(office.marks).toEqual([]);
    for (let passed = 0; passed < 10; passed += 1) {
      office.clock.advance(1_000);
      await turns();
    }
    expect(office.marks.map(([at]) => at)).toEqual(office.marks.map(([at]) => at).toSorted((a, b) => a - b));
    expect(office.marks.length).toBeGreaterThanOrEqual(4);
    expect(office.lines).toEqual(['store: warning: what the cards burn is not written yet: the disk is full']);
    await keeper.close();
  });

  it('says what the ledger lacks where it refuses for good, and goes on', async () => {
    const office = new Office();
    const keeper = await office.opened();
    await office.read(1, 25);
    office.refusals = [broken()];
    keeper.begin('cuda:0', 'launch1-1');
    await turns();
    expect(office.lines).toEqual([
      'store: error: the ledger lacks 2400.000 J and 1 marks of card GPU-1 from 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:25.000Z, ' +
        'because it refused them (it is broken): kilnwatt report --audit names the hours that this leaves wrong',
    ]);
    await office.read(26, 20);
    expect(office.marks.length).toBeGreaterThan(3);
    await keeper.close();
  });

  it('writes one by one what the ledger refuses together, so that only the bad one is missing', async () => {
    const office = new Office();
    const keeper = await office.opened();
    office.refusals = [full(), broken(), broken()];
    await office.read(1, 45);
    for (let passed = 0; passed < 10; passed += 1) {
      office.clock.advance(1_000);
      await turns();
    }
    expect(office.lines.filter((line) => line.includes('error'))).toEqual([
      expect.stringMatching(/lacks 0\.000 J and 1 marks of card GPU-1/),
    ]);
    expect(office.marks.map(([at]) => at)).toEqual([11, 21, 31, 41]);
    await keeper.close();
  });

  it('books once what a kill left, although the next launch was closed before it had read anything', async () => {
    const office = new Office();
    const keeper = await office.opened();
    await office.read(1, 20);
    keeper.begin('cuda:0', 'launch1-1');
    await office.read(21, 30);
    // Killed here: nothing is closed.
    await (await office.opened()).close();
    const next = await office.opened();
    await office.read(100, 5);
    await next.close();
    expect(office.rows).toEqual(expect.arrayContaining(['overhead lost 2000', 'unknown off 6000']));
    expect(office.ledger.rows.reduce((sum, row) => sum + (row.energy_mj ?? 0), 0)).toBe((104 - 1) * 100_000);
  });

  it('closes although the disk does not take its last lines, and the next one books what is missing', async () => {
    const office = new Office();
    const keeper = await office.opened();
    await office.read(1, 25);
    office.refusals = Array.from({ length: 50 }, full);
    const closed = keeper.close();
    await turns();
    office.clock.advance(6_000);
    await closed;
    office.refusals = [];
    const next = await office.opened();
    await office.read(40, 5);
    await next.close();
    const all = office.ledger.rows.reduce((sum, row) => sum + (row.energy_mj ?? 0), 0);
    expect(all).toBe((44 - 1) * 100_000);
    expect(office.rows).toContain('unknown off 1900');
  });

  it('keeps the windows of a batch whose transaction never came, so that the next one knows what is lost', async () => {
    const office = new Office();
    const keeper = await office.opened();
    await office.read(1, 12);
    keeper.begin('cuda:0', 'launch1-1');
    await office.read(13, 20);
    const batch = nextBatch('launch1-1', 'cuda:0', 2);
    const counter = { from: 1_500_000, to: 3_000_000 };
    const window = { gpu: GPU, from: 15_000, to: 30_000, counter, integral: null, foreign: 0 };
    const { result } = keeper.end(batch, resultWith(batch, [], { ...metered(1_500_000), window }));
    await turns();
    const receipts = receiptsOf(batch, result, 32_000);
    const [first, second] = batch.jobs.map((job) => {
      const receipt = receipts.get(job.id);
      if (receipt === undefined) throw new Error('every job has a receipt');
      return foundPicture(job, receipt);
    });
    if (first === undefined || second === undefined) throw new Error('there are two');
    // Killed here. One picture is found before the next bookkeeper begins, the other one later.
    const handle = office.ledger.open();
    await handle.settle(await adoptionOf(handle, first.job, first, 40_000));
    const next = await office.opened();
    await office.read(40, 3);
    expect(office.rows).toEqual(expect.arrayContaining(['active - 750', 'overhead lost 750', 'idle between 300']));
    const late = await adoptionOf(handle, second.job, second, 50_000);
    await handle.settle(late);
    await handle.settle(late);
    expect(office.rows.filter((row) => row.includes('lost'))).toEqual(['overhead lost 750', 'overhead lost -750']);
    expect(office.ledger.rows.at(-1)).toMatchObject({ corrects: expect.any(String), total_cost: -0.0000625 });
    await next.close();
  });
});

describe('a batch on its way', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kilnwatt-books-'));
  const shops: Workshop[] = [];

  afterEach(async () => {
    for (const shop of shops.splice(0)) await shop.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function shopWith(books: string[], devices: readonly Device[], refuses = false): Workshop {
    const shop = new Workshop({
      folder,
      devices,
      ...(refuses && { provider: (clock) => new Absent({ clock, devices }) }),
    });
    shops.push(shop);
    const note = (what: string) => (device: string) => {
      books.push(`${what} ${device}`);
    };
    shop.work({
      books: {
        begin: note('begin'),
        end: (batch, result) => {
          books.push(`end ${batch.device}`);
          return { result, meter: null };
        },
        settled: note('settled'),
        gaveUp: note('gaveUp'),
      },
    });
    return shop;
  }

  it('is told to the books when it begins, when it has ended, and when the ledger has it', async () => {
    const books: string[] = [];
    const shop = shopWith(books, [CARD]);
    const planned = await shop.plan(['a cat']);
    await shop.submit(planned);
    await shop.until(planned.run.id, settled);
    expect(books).toEqual(['begin cuda:0', 'end cuda:0', 'settled cuda:0']);
  });

  it('is told to the books as given up where no worker is to be had', async () => {
    const books: string[] = [];
    const shop = shopWith(books, [CARD], true);
    await shop.submit(await shop.plan(['a cat']));
    while (books.length < 2) await shop.pass();
    expect(books.slice(0, 2)).toEqual(['begin cuda:0', 'gaveUp cuda:0']);
  });
});

/** Has no worker at all. */
class Absent extends FakeProvider {
  override make(): Promise<never> {
    return Promise.reject(new UnavailableError('there is no worker', { code: 'worker_unavailable' }));
  }
}
