import type { Command } from 'commander';

/** Where everything is kept, and how the answer looks. */
export interface PlaceFlags {
  readonly dataDir?: string;
  readonly redisUrl?: string;
  readonly devices?: string;
  readonly json?: boolean;
}

export function addPlaces(command: Command): Command {
  return command
    .option('--data-dir <folder>', 'database, queue and models')
    .option('--redis-url <url>', 'a Redis or Valkey to use instead of the own one')
    .option('--json', 'machine-readable output on stdout');
}
