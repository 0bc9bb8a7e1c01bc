/**
 * A program of its own, started by `inventory.ts`: prints what systeminformation says of this host as
 * one line of JSON. Apart, because `graphics()` blocks its event loop and waits without limit for programs.
 */
import { cpu, graphics, osInfo, system } from 'systeminformation';

const [processor, os, machine, cards] = await Promise.all([cpu(), osInfo(), system(), graphics()]);
process.stdout.write(
  `${JSON.stringify({
    cpu: { name: `${processor.manufacturer} ${processor.brand}`.trim(), cores: processor.physicalCores },
    os: `${os.distro} ${os.release}`.trim(),
    virtual: machine.virtual ?? null,
    // Only what tells cards apart; its readings lose zeros and mix up equal cards.
    cards: cards.controllers.map(({ vendor, model }) => ({ vendor, model })),
  })}\n`,
);
