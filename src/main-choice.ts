import type { Config } from './config.ts';
import { sentenceOf } from './errors.ts';
import type { Device, Gpu, Store, Telemetry } from './ports.ts';
import { presetsWith } from './preset/catalogue.ts';
import { impossible } from './preset/combinations.ts';
import { footprintOf, reserveOf } from './preset/fit.ts';
import type { ChoiceParts } from './provider/chooser.ts';
import type { CardMemory, Cards } from './provider/rooms.ts';
import type { RungsOptions } from './provider/rungs.ts';
import { isWsl2 } from './telemetry/wsl.ts';
import type { Bytes } from './units.ts';

interface World {
  readonly config: Pick<Config, 'batchLimit' | 'memoryReserveMb' | 'presets'>;
  readonly devices: readonly Device[];
  readonly store: Pick<Store, 'limits' | 'learn' | 'measurements' | 'measure'>;
  readonly telemetry: Pick<Telemetry, 'gpus'>;
  log(line: string): void;
}

/** What presets and sizes of batches are chosen by on this machine. */
export async function choicePartsFor(world: World): Promise<ChoiceParts & Pick<RungsOptions, 'spills'>> {
  const { config, devices, store, telemetry } = world;
  const { batchLimit: limit, memoryReserveMb } = config;
  // What could not be kept is learned again.
  const orLog = (kept: Promise<void>) => void kept.catch((error: unknown) => world.log(`store: ${sentenceOf(error)}`));
  const hasCards = devices.some(({ kind }) => kind === 'cuda');
  const spills = hasCards && (await isWsl2());
  return {
    presets: presetsWith(config.presets),
    rules: { footprintOf, impossible, reserveOf },
    memory: { known: await store.limits(), learn: (learned) => orLog(store.learn(learned)) },
    measurements: { known: await store.measurements(), note: (measurement) => orLog(store.measure(measurement)) },
    rooms: {
      reserve: memoryReserveMb === null ? null : memoryReserveMb * 1_000_000,
      ...(hasCards ? { cards: await cardsOf(telemetry) } : {}),
      ...(spills ? { withheld: LEFT_UNDER_WSL2 } : {}),
    },
    spills,
    ...(limit === null ? {} : { limit }),
  };
}

/** What a worker takes of a card before the first tensor: it is free, but for no tensor, until a worker is up. */
const CONTEXT: Bytes = 500_000_000;
/** What the worker's cap leaves to others; `RESERVE_BYTES` in its `wsl.py`. */
const LEFT_UNDER_WSL2: Bytes = 512 * 1024 ** 2;

async function cardsOf(telemetry: World['telemetry']): Promise<Cards> {
  // A card that cannot be read now is judged by what its worker tells.
  const look = async () => new Map((await telemetry.gpus().catch(() => [])).flatMap(memoryOf));
  return { known: await look(), look };
}

function memoryOf({ uuid, memory, memoryUsed }: Gpu): readonly (readonly [string, CardMemory])[] {
  if (uuid === null || memory === null || memoryUsed === null) return [];
  return [[uuid, { free: Math.max(0, memory - memoryUsed - CONTEXT), total: memory }]];
}
