/** Why a text cannot be the setting `devices`, whatever cards there are; undefined for one that can. */
export function devicesFault(text: string): string | undefined {
  const parts = devicePartsOf(text);
  if (parts.length === 1 && parts[0] === 'auto') return undefined;
  for (const part of parts) {
    const workers = cpuWorkersOf(part);
    if (workers === undefined && !CARD.test(part)) return `expected ${FORMS}`;
    if (workers !== undefined && (workers < 1 || workers > MOST_CPU_WORKERS))
      return `${part} asks for ${workers} workers, not 1 to ${MOST_CPU_WORKERS}`;
  }
  const names = parts.map((part) => (cpuWorkersOf(part) === undefined ? part.replace('cuda:', '') : 'cpu'));
  const twice = parts.find((_, at) => names.indexOf(names[at] ?? '') !== at);
  return twice === undefined ? undefined : `${twice} is named twice`;
}

/** What the list names, in lower case. */
export function devicePartsOf(text: string): string[] {
  return text.split(',').map((part) => part.trim().toLowerCase());
}

/** How many workers on the CPU a part asks for; undefined where it means a card. */
export function cpuWorkersOf(part: string): number | undefined {
  const cpu = CPU.exec(part);
  return cpu === null ? undefined : Number(cpu[1] ?? 1);
}

const CPU = /^cpu(?::(\d+))?$/;
const CARD = /^(?:(?:cuda:)?\d+|gpu-[\da-f-]+)$/;
const MOST_CPU_WORKERS = 64;
const FORMS = 'auto, cpu, cpu:2, or cards: 0,1 or cuda:0 or UUIDs';
