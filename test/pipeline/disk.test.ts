import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLEAN } from '../../src/batch/marks.ts';
import { StorageError } from '../../src/errors.ts';
import type { MemoryImages } from '../../src/images/memory.ts';
import type { Settlement } from '../../src/ports.ts';
import type { FakeScript } from '../../src/provider/fake.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import type { PlannedRun } from '../../src/submission.ts';
import { Pictures, settled, Workshop, type WorkshopOptions } from './workshop.ts';

let folder: string;
let shop: Workshop;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'disk-'));
});
afterEach(async () => {
  await shop.stop();
  rmSync(folder, { recursive: true });
});

function open(options: Partial<WorkshopOptions>, script: FakeScript = {}): Workshop {
  shop = new Workshop({ folder, script, ...options });
  return shop;
}

const full = () => new StorageError('the disk has no room', { code: 'disk_full' });

/** Room for so many pictures, and for more when a test makes it. */
class SmallDisk extends Pictures {
  room: number;

  constructor(room: number) {
    super();
    this.room = room;
  }

  override async requireRoom(): Promise<void> {
    if (this.room <= 0) throw full();
  }

  override async finish(...made: Parameters<MemoryImages['finish']>): Promise<string> {
    if (this.room <= 0) throw full();
    this.room -= 1;
    return super.finish(...made);
  }
}

/** A database whose disk refuses while a test says so. */
class Refusing extends MemoryStore {
  refuses = false;

  override async settle(settlement: Settlement): Promise<void> {
    if (this.refuses) throw new StorageError('the database cannot grow', { code: 'not_writable' });
    return super.settle(settlement);
  }
}

const WAITING = 'Waiting: the disk has no room. It goes on by itself once that is mended.';

describe('a disk that is full', () => {
  it('holds the work up, says so once, and lets it go on when there is room: nothing is lost or made twice', async () => {
    const images = new SmallDisk(2);
    open({ images });
    const planned = await shop.plan(['a', 'b', 'c', 'd', 'e', 'f']);
    await shop.submit(planned);
    shop.work();
    await shop.until(planned.run.id, () => shop.notes.length > 0);
    for (let seconds = 0; seconds < 60; seconds += 1) for (let pass = 0; pass < 50; pass += 1) await shop.pass();
    expect(shop.notes).toEqual([WAITING]);
    expect(shop.fatal).toEqual([]);
    expect(images.pictures.size).toBe(2);
    images.room = 100;
    const rows = await shop.until(planned.run.id, settled);
    expect(rows.map((row) => row.state)).toEqual(Array(6).fill('done'));
    expect(rows.map((row) => row.marks)).toEqual(Array(6).fill(CLEAN));
    expect(images.pictures.size).toBe(6);
    expect(shop.notes).toEqual([WAITING, 'The disk takes pictures again.']);
    expect((await shop.store.totals(planned.run.id, 0)).images).toBe(6);
  });

  it('is not waited for by a stop: what has not begun is handed back, and the stop is no failure', async () => {
    open({ images: new SmallDisk(0) });
    const planned = await shop.plan(['a', 'b']);
    await shop.submit(planned);
    shop.work();
    await shop.until(planned.run.id, () => shop.notes.length > 0);
    await shop.stop();
    expect(shop.fatal).toEqual([]);
    expect((await shop.store.jobsOf(planned.run.id)).map((row) => row.state)).toEqual(['queued', 'queued']);
    expect(await shop.queue.ids()).toHaveLength(2);
  });

  it('that the worker met is waited for, longer each time, and the pictures are made again', async () => {
    const images = new Pictures();
    let met = 0;
    class Meeting extends SmallDisk {
      override async requireRoom(): Promise<void> {}
    }
    open({ images: new Meeting(100) }, { failOn: 'b', failCode: 'disk_full' });
    const planned = await shop.plan(['a', 'b', 'c']);
    await shop.submit(planned);
    const began = shop.clock.monotonic();
    shop.work({
      onProgress: ({ phase }) => {
        if (phase === 'denoise') met += 1;
      },
    });
    await shop.until(planned.run.id, () => shop.clock.monotonic() - began > 60_000);
    await shop.stop();
    const rows = await shop.store.jobsOf(planned.run.id);
    expect(rows.map((row) => row.state)).toEqual(['done', 'queued', 'done']);
    expect(rows[1]?.marks).toEqual(CLEAN);
    // Two steps a batch; with 1, 2, 4, 8, 10, 10 … s between them, and one more with the neighbours, few fit into a minute.
    expect(met / 2).toBeLessThan(12);
    expect(images.pictures.size).toBe(0);
  });
});

describe('a batch that waits for its disk', () => {
  class OneFolderGone extends Pictures {
    gone = true;

    override async requireRoom(target: string): Promise<void> {
      if (this.gone && target.includes('gone')) throw new StorageError('the folder is gone', { code: 'not_writable' });
    }
  }

  async function oneOfTwo(): Promise<{ readonly images: OneFolderGone; readonly gone: PlannedRun }> {
    const images = new OneFolderGone();
    open({ images });
    const gone = await shop.plan(['a', 'b', 'c', 'd', 'e', 'f'], { name: 'gone' });
    await shop.submit(gone);
    shop.work();
    await shop.until(gone.run.id, () => shop.notes.length > 0);
    const other = await shop.plan(['x', 'y'], { name: 'other' });
    await shop.submit(other);
    const rows = await shop.until(other.run.id, settled);
    expect(rows.map((row) => row.state)).toEqual(['done', 'done']);
    return { images, gone };
  }

  it('holds no other folder up, and goes on when its own is mended', async () => {
    const { images, gone } = await oneOfTwo();
    expect((await shop.store.jobsOf(gone.run.id)).map((row) => row.state)).toEqual(Array(6).fill('queued'));
    images.gone = false;
    const rows = await shop.until(gone.run.id, settled);
    expect(rows.map((row) => [row.state, row.marks])).toEqual(Array(6).fill(['done', CLEAN]));
    expect(shop.notes).toEqual([
      'Waiting: the folder is gone. It goes on by itself once that is mended.',
      `${join(folder, 'gone')} takes pictures again.`,
    ]);
  });

  it('is let go when nobody wants it any more', async () => {
    const { gone } = await oneOfTwo();
    shop.working.withdraw(await shop.store.cancel(gone.jobs.map((job) => job.id)));
    await shop.until(gone.run.id, settled);
    await shop.idle(1_000);
    expect(await shop.queue.ids()).toEqual([]);
  });

  it('with a half-made file that it cannot remove is waited for all the same', async () => {
    class ReadOnly extends SmallDisk {
      override async discard(): Promise<void> {
        throw new StorageError('the file system is mounted read-only', { code: 'not_writable' });
      }
    }
    open({ images: new ReadOnly(100) }, { failOn: 'b', failCode: 'not_writable' });
    const planned = await shop.plan(['a', 'b']);
    await shop.submit(planned);
    shop.work();
    await shop.until(planned.run.id, () => shop.notes.length > 0);
    expect(shop.fatal).toEqual([]);
    expect((await shop.store.jobsOf(planned.run.id)).map((row) => row.state)).toEqual(['done', 'queued']);
  });
});

describe('a picture whose name is bad', () => {
  it('fails by itself, and no waiting is done for it', async () => {
    class Choosy extends Pictures {
      override async find(...asked: Parameters<MemoryImages['find']>): ReturnType<MemoryImages['find']> {
        if (asked[1].endsWith('2')) throw new StorageError('the name is too long', { code: 'bad_target' });
        return super.find(...asked);
      }
    }
    open({ images: new Choosy() });
    const rows = await shop.run(['a', 'b', 'c'], settled);
    expect(rows.map((row) => row.state)).toEqual(['done', 'failed', 'done']);
    expect(rows[1]?.error).toEqual({ code: 'bad_target', message: 'the name is too long' });
    expect(shop.notes).toEqual([]);
  });
});

describe('a database that cannot be written', () => {
  it('is waited for with the pictures on the disk, and nothing is called done before it is written', async () => {
    const store = new Refusing();
    open({ store });
    const planned = await shop.plan(['a', 'b']);
    await shop.submit(planned);
    store.refuses = true;
    shop.work();
    await shop.until(planned.run.id, () => shop.notes.length > 0);
    for (let pass = 0; pass < 500; pass += 1) await shop.pass();
    expect(shop.images.pictures.size).toBe(2);
    expect((await store.jobsOf(planned.run.id)).map((row) => row.state)).toEqual(['running', 'running']);
    store.refuses = false;
    const rows = await shop.until(planned.run.id, settled);
    expect(rows.map((row) => row.state)).toEqual(['done', 'done']);
    expect(shop.images.pictures.size).toBe(2);
    expect((await store.totals(planned.run.id, 0)).images).toBe(2);
  });
});
