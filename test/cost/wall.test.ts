import { describe, expect, it } from 'vitest';
import { atWall, hostText } from '../../src/cost/wall.ts';

describe('what is taken from the wall', () => {
  it('is what cards and host draw, over the efficiency of the supply', () => {
    expect(atWall({ efficiency: 0.9, hostWatts: 60 }, 3_000_000, 10)).toBe(4_000_000);
  });

  it("is the cards' part where nobody said what the host draws, and says that", () => {
    const settings = { efficiency: 0.9, hostWatts: null };
    expect(atWall(settings, 3_600_000, 10)).toBe(4_000_000);
    expect(hostText(settings)).toContain('the rest of the host left out');
    expect(hostText({ efficiency: 0.9, hostWatts: 0 })).toBe('0 W of host');
  });

  it('is unknown where what the cards drew is', () => {
    expect(atWall({ efficiency: 0.9, hostWatts: 60 }, null, 10)).toBeNull();
  });
});
