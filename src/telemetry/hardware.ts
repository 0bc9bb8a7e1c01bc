import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const NVIDIA = '0x10de';
const DISPLAY_CLASS = /^0x03/;

/** Whether the kernel sees an NVIDIA card, whatever its driver says. Under WSL2 any card counts, since its maker is hidden. */
export async function hasNvidiaHardware(root = '/'): Promise<boolean> {
  if (await exists(join(root, 'dev', 'dxg'))) return true;
  if (await exists(join(root, 'dev', 'nvidiactl'))) return true;
  const bus = join(root, 'sys', 'bus', 'pci', 'devices');
  const slots = await readdir(bus).catch(() => []);
  const found = await Promise.all(slots.map((slot) => isNvidiaDisplay(join(bus, slot))));
  return found.includes(true);
}

async function isNvidiaDisplay(slot: string): Promise<boolean> {
  const [vendor, kind] = await Promise.all([textOf(join(slot, 'vendor')), textOf(join(slot, 'class'))]);
  return vendor === NVIDIA && DISPLAY_CLASS.test(kind);
}

/** A device may go away while it is read; then it is none. */
function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => '',
  );
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
