import { cpuWorkersOf, devicePartsOf, devicesFault } from '../config-devices.ts';
import { InputError } from '../errors.ts';
import type { Device, Gpu, Telemetry } from '../ports.ts';

/** Resolves `--devices`; nvidia-smi is only asked where the answer depends on it. */
export async function devicesOf(spec: string, telemetry: Pick<Telemetry, 'gpus'>): Promise<readonly Device[]> {
  const onCpu = devicePartsOf(spec).every((part) => cpuWorkersOf(part) !== undefined);
  const gpus = onCpu ? [] : await telemetry.gpus();
  return devicesFor(spec, gpus);
}

/**
 * `auto`: all NVIDIA cards, else the CPU. Otherwise a list of `cpu`, `cpu:2` (two workers), `0`, `cuda:0`
 * and UUIDs or beginnings of them.
 * @throws InputError `unknown_device`
 */
export function devicesFor(spec: string, gpus: readonly Gpu[]): readonly Device[] {
  const cards = gpus.flatMap(cardOf);
  const fault = devicesFault(spec);
  if (fault !== undefined) throw refusal(fault, cards);
  const parts = devicePartsOf(spec);
  if (parts.length === 1 && parts[0] === 'auto') return cards.length > 0 ? cards : cpuDevices(1);
  const devices = parts.flatMap((part) => devicesNamed(part, cards));
  const twice = devices.find((device, at) => devices.findIndex(({ id }) => id === device.id) !== at);
  if (twice !== undefined) throw refusal(`${twice.id} is named twice`, cards);
  return devices;
}

function devicesNamed(part: string, cards: readonly Device[]): readonly Device[] {
  const workers = cpuWorkersOf(part);
  if (workers !== undefined) return cpuDevices(workers);
  const named = cards.filter(({ id, uuid }) => id === part || id === `cuda:${part}` || beginsWith(uuid, part));
  if (named.length === 1) return named;
  throw refusal(named.length > 1 ? `${part} means more than one card` : `there is no device "${part}"`, cards);
}

function beginsWith(uuid: string | null, part: string): boolean {
  return uuid !== null && /^gpu-./.test(part) && uuid.toLowerCase().startsWith(part);
}

function refusal(what: string, cards: readonly Device[]): InputError {
  const there = [...cards.map(({ id, name }) => `${id} (${name})`), 'cpu'].join(', ');
  return new InputError(`${what}; this machine has ${there}`, { code: 'unknown_device', place: 'devices' });
}

function cardOf({ index, uuid, name }: Gpu): Device[] {
  return index === null || uuid === null ? [] : [{ id: `cuda:${index}`, kind: 'cuda', uuid, name }];
}

/** Each worker on the CPU is a device: `cpu`, `cpu:1`, `cpu:2` … */
function cpuDevices(workers: number): Device[] {
  return Array.from({ length: workers }, (_, n) => ({
    id: n === 0 ? 'cpu' : `cpu:${n}`,
    kind: 'cpu',
    uuid: null,
    name: 'CPU',
  }));
}
