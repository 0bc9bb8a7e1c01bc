/**
 * A process of its own for desk.test.ts, to be killed: `desk-process.ts <socket> <queue>`.
 * Attends the desk, says so, says which question it has in hand, and never answers it.
 */
import { systemClock } from '../../src/process/clock.ts';
import { BullmqDesk } from '../../src/queue/desk.ts';

const [socketPath = '', name = ''] = process.argv.slice(2);
const desk = new BullmqDesk({ connection: { socketPath }, name, clock: systemClock, log: console.error });

await desk.attend(async ({ id }) => {
  console.log(id);
  await new Promise(() => {});
});
console.log('attends');
