import type { Notice, Notifier } from '../ports.ts';

/** Keeps what it is told. */
export interface MemoryNotifier extends Notifier {
  readonly told: readonly Notice[];
  /** Set, it hears nothing more, as a receiver that is down. */
  deaf: boolean;
}

export function memoryNotifier(log: (line: string) => void = () => {}): MemoryNotifier {
  const told: Notice[] = [];
  return {
    told,
    deaf: false,
    async tell(notice) {
      if (this.deaf) log(`notices: warning: "${notice.kind}" did not reach anybody`);
      else told.push(notice);
    },
    async check() {
      return [{ name: 'notices', status: 'ok', detail: 'kept in memory' }];
    },
  };
}
