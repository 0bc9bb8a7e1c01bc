/** The database thread: owns the connection, answers one call after another, ends after `close`. */
import { isMainThread, type MessagePort, parentPort } from 'node:worker_threads';
import { StorageError } from '../errors.ts';
import { storageErrorOf } from './failure.ts';
import { type Answer, type Call, type Calls, sentErrorOf } from './protocol.ts';
import { Session } from './session.ts';

if (isMainThread || parentPort === null) throw new Error('thread.ts is started by openSqliteStore, never by itself');
serve(parentPort);

function serve(port: MessagePort): void {
  let path = '';
  let session: Session | undefined;

  const perform = ({ name, args }: Call): ReturnType<Calls[keyof Calls]> => {
    if (name === 'open') {
      path = String(args[0]);
      session = new Session(path);
      return undefined;
    }
    if (session === undefined) throw new StorageError('the database is not open', { code: 'internal' });
    // The name and its arguments were paired by the types on the other side of the channel.
    const method = session[name] as (...values: readonly unknown[]) => ReturnType<Calls[keyof Calls]>;
    return method.apply(session, args);
  };

  port.on('message', (call: Call) => {
    let answer: Answer;
    try {
      answer = { id: call.id, ok: true, value: perform(call) };
    } catch (error) {
      answer = { id: call.id, ok: false, error: sentErrorOf(storageErrorOf(error, path)) };
    }
    port.postMessage(answer);
    if (call.name === 'close') port.close();
  });
}
