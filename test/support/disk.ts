/**
 * Resolves when everything that is due has happened and no real disk is being asked. A test whose clock runs by itself
 * would else let minutes of it go by in the milliseconds of a mkdir.
 */
export async function diskAnswers(): Promise<void> {
  do await new Promise<void>((next) => setImmediate(next));
  while (process.getActiveResourcesInfo().some((kind) => ON_DISK.test(kind)));
}

/** What Node calls a request to the file system, and the closing of a file. */
const ON_DISK = /^(FSReq|CloseReq)/;
