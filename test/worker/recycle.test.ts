import { describe, expect, it } from 'vitest';
import { afterBatch, afterLoad, NEVER, reasonToReplace, UNWORN, type Wear } from '../../src/worker/recycle.ts';

const MIB = 2 ** 20;

describe('a worker', () => {
  it('is replaced when it has made as many pictures as the rule says, over all its engines', () => {
    const rule = { ...NEVER, pictures: 10 };
    const nearly = afterLoad(worked([100, 100, 100]));
    expect(nearly.pictures).toBe(9);
    expect(reasonToReplace(nearly, rule)).toBeNull();
    expect(reasonToReplace(worked([100], nearly), rule)).toBe('it has made 12 pictures');
  });

  it('is replaced when its memory has grown since the second batch; the first fills its caches', () => {
    const rule = { ...NEVER, growth: 50 * MIB };
    expect(reasonToReplace(worked([100, 400]), rule)).toBeNull();
    expect(reasonToReplace(worked([100, 400, 450]), rule)).toBeNull();
    expect(reasonToReplace(worked([100, 400, 451]), rule)).toBe(
      'its memory has grown by 51 MiB since its second batch',
    );
  });

  it('is measured anew after another engine was loaded', () => {
    const rule = { ...NEVER, growth: 50 * MIB };
    expect(reasonToReplace(worked([900, 950], afterLoad(worked([100, 100]))), rule)).toBeNull();
  });

  it('is kept for ever where no rule says otherwise', () => {
    expect(
      reasonToReplace(
        worked(
          Array(1_000)
            .fill(1)
            .map((_, at) => at),
        ),
        NEVER,
      ),
    ).toBeNull();
  });
});

/** After batches of three pictures, each of which leaves this many mebibytes. */
function worked(mebibytes: readonly number[], wear: Wear = UNWORN): Wear {
  return mebibytes.reduce((worn, size) => afterBatch(worn, { pictures: 3, resident: size * MIB }), wear);
}
