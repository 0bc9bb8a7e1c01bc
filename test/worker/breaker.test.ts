import { describe, expect, it } from 'vitest';
import { afterDeath, BREAKER, CLOSED, quarantineAt } from '../../src/worker/breaker.ts';

const RULE = { deaths: 3, probeAfter: 1_000, probeMost: 3_000 };

describe('the breaker', () => {
  it('lets a device be tried until the deaths in a row are as many as the rule says', () => {
    expect(quarantineAt(died(2), 0)).toBeNull();
    expect(quarantineAt(died(3), 0)).toEqual({
      reason: '3 deaths in a row without a finished batch; the last: death 3',
      left: 1_003,
    });
  });

  it('lets it be probed when the time is over', () => {
    expect(quarantineAt(died(3), 1_002)).not.toBeNull();
    expect(quarantineAt(died(3), 1_003)).toBeNull();
  });

  it('begins again with the next death, for twice the time, up to the most', () => {
    expect([4, 5, 6].map((deaths) => quarantineAt(died(deaths), 0)?.left)).toEqual([2_004, 3_005, 3_006]);
  });

  it('is by default five deaths, five minutes, and an hour at most', () => {
    expect(BREAKER).toEqual({ deaths: 5, probeAfter: 300_000, probeMost: 3_600_000 });
  });
});

/** After this many deaths, one each millisecond. */
function died(deaths: number) {
  let state = CLOSED;
  for (let at = 1; at <= deaths; at += 1) state = afterDeath(state, { at, sentence: `death ${at}` }, RULE);
  return state;
}
