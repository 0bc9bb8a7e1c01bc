import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { PYTHON, WORKER_DIR } from './python.ts';

const PROGRAM = `import json, sys
from PIL import Image
from kilnwatt_worker.quality.describe import describe
seen = describe(Image.open(sys.argv[1]))
things = [[thing.color, thing.shape, thing.size, thing.place] for thing in seen.things]
print(json.dumps({"background": seen.background, "things": things}))`;

/** What the checker finds in a picture; it is not told the prompt. */
export async function seenIn(path: string): Promise<unknown> {
  const { stdout } = await promisify(execFile)(PYTHON, ['-P', '-c', PROGRAM, path], {
    env: { ...process.env, PYTHONPATH: WORKER_DIR },
  });
  return JSON.parse(stdout);
}
