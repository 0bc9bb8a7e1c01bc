import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Checkout } from './checkout.ts';

const PYTHONS = ['python3', 'python3.11', 'python3.12', 'python3.13', 'python3.14'];
/** A port on which nothing listens. */
const NO_NETWORK = {
  PIP_NO_INDEX: '0',
  PIP_FIND_LINKS: '',
  PIP_INDEX_URL: 'http://127.0.0.1:9/simple',
  PIP_RETRIES: '1',
  KILNWATT_TORCH_INDEX: 'http://127.0.0.1:9/simple',
};

let checkout: Checkout;
beforeAll(async () => {
  checkout = await Checkout.make();
});
afterAll(() => checkout.remove());
afterEach(() => checkout.removeShims());

describe('a set-up that cannot be', { timeout: 120_000 }, () => {
  it.each([
    ['no Python', 'exit 127', /no Python was found: install it with 'apt install python3 python3-venv'/],
    ['an old Python', pretending('sys.version_info = (3, 9, 2)'), /python3 is 3\.9, and 3\.11 to 3\.14 are needed/],
    [
      'a Python too new',
      pretending('sys.version_info = (3, 15, 0)'),
      /python3 is 3\.15, and 3\.11 to 3\.14 are needed/,
    ],
    [
      'a Debian without python3-venv',
      pretending('sys.modules["ensurepip"] = None'),
      /has no venv: install it with 'apt install python3-venv'/,
    ],
  ])('says in one line what to do about %s', async (_, script, sentence) => {
    for (const name of PYTHONS) checkout.shim(name, script);
    const { code, said } = await checkout.setup();
    expect(said).toMatch(sentence);
    expect(said.split('\n')).toHaveLength(1);
    expect(code).toBe(6);
    expect(existsSync(join(checkout.root, '.venv'))).toBe(false);
  });

  it('looks for room on the disk before it fetches anything', async () => {
    checkout.shim(
      'df',
      'printf "Filesystem 1024-blocks Used Available Capacity Mounted\\n/dev/x 9 9 1500000 99%% /\\n"',
    );
    const { code, said } = await checkout.setup();
    expect(said).toMatch(/the disk has 1 GB left under .*a check out and about 3 GB are needed: free some space/);
    expect(code).toBe(1);
  });

  it.each([
    [['--with', 'light,havy'], "set-up: there is no extra 'havy': choose from light, heavy, lost"],
    [['--with'], 'set-up: --with needs a name: --with NAME[,NAME]'],
    [['--dve'], "set-up: '--dve' is no option: there are --dev, --with NAME[,NAME] and --device"],
  ])('makes nothing where it was asked for %j, which is not there', async (parameters, said) => {
    expect(await checkout.setup({ arguments: parameters })).toEqual({ code: 2, said });
    expect(existsSync(join(checkout.root, '.venv'))).toBe(false);
  });

  it('uses another Python of the host where python3 itself is too old', async () => {
    checkout.shim('python3', pretending('sys.version_info = (3, 9, 2)'));
    checkout.shim('python3.14', `exec ${realPython()} "$@"`);
    const { said } = await checkout.setup({ env: NO_NETWORK });
    expect(said).toContain('a Python environment in .venv');
  });
});

describe('a set-up', { timeout: 120_000 }, () => {
  it('says that the network cannot be reached, and where the log is', async () => {
    const { code, said } = await checkout.setup({ env: NO_NETWORK });
    expect(said).toMatch(
      /the network cannot be reached for 'PyTorch .*': check the connection or the proxy, then start again \(log: .*setup\.log\)/,
    );
    expect(code).toBe(6);
  });

  it('takes up what failed before, also when two start at once', async () => {
    const [one, other] = await Promise.all([checkout.setup(), checkout.setup()]);
    expect([one.code, other.code]).toEqual([0, 0]);
    expect([one.said, other.said].sort()).toEqual(
      [
        expect.stringMatching(/PyTorch 2\.13\.0 .*\n.*the Python packages.*\n.*the npm packages\n.*ready/),
        'set-up: another set-up is at work in this folder; waiting for it',
      ].sort(),
    );
  });

  it('says nothing and does nothing when all is there', async () => {
    const log = join(checkout.root, '.scratch/setup.log');
    const before = statSync(log).mtimeMs;
    expect(await checkout.setup()).toEqual({ code: 0, said: '' });
    expect(statSync(log).mtimeMs).toBe(before);
  });

  it('installs a package again that was cut off in the middle', async () => {
    const [info = ''] = globSync(join(checkout.root, '.venv/lib/python3*/site-packages/diffusers-*.dist-info'));
    rmSync(join(info, 'INSTALLER'));
    rmSync(join(info, '../diffusers/half.py'));
    rmSync(join(checkout.root, '.venv/.kilnwatt-base'));
    expect((await checkout.setup()).code).toBe(0);
    expect(readFileSync(join(info, '../diffusers/half.py'), 'utf8')).toContain('whole');
  });

  it('can be interrupted while it waits for the network, and started again', async () => {
    removeTorch();
    const silent = createServer();
    const index = await listening(silent);
    const running = checkout.start({
      env: { PIP_NO_INDEX: '0', PIP_INDEX_URL: index, KILNWATT_TORCH_INDEX: index },
    });
    await once(silent, 'request');
    running.interrupt();
    const { code, said } = await running.ended;
    silent.close();
    expect(said).toMatch(/interrupted; the next start takes it up again$/);
    expect(code).toBe(130);
    expect((await checkout.setup()).code).toBe(0);
  });

  it('says that the disk is full when it fills on the way', async () => {
    rmSync(join(checkout.root, 'node_modules'), { recursive: true });
    writeFileSync(join(checkout.root, '.full'), '');
    const { code, said } = await checkout.setup();
    expect(said).toMatch(/the disk is full: free some space/);
    expect(code).toBe(1);
    const homeless = await checkout.setup({ env: { HOME: undefined } });
    expect(homeless.said).toMatch(/the disk is full: free some space for .* and for the caches in the home folder/);
    expect(homeless.code).toBe(1);
    rmSync(join(checkout.root, '.full'));
  });

  it('adds the tools of the tests when asked, and keeps them', async () => {
    expect((await checkout.setup()).code).toBe(0);
    expect(packages()).not.toContain('pytest');
    expect(npmArguments()).toContain('--omit=dev');
    expect((await checkout.setup({ arguments: ['--dev'] })).code).toBe(0);
    expect(packages()).toContain('pytest');
    expect(npmArguments()).toContain('--include=dev');
    expect(await checkout.setup()).toEqual({ code: 0, said: '' });
  });

  it('adds the extras that were asked for, keeps them, and leaves the tools of the tests', async () => {
    const { code, said } = await checkout.setup({ arguments: ['--with', 'light'] });
    expect(said).toMatch(/the extras: light\n.*ready/);
    expect(code).toBe(0);
    expect(packages()).toEqual(expect.arrayContaining(['light', 'pytest']));
    expect(packages()).not.toContain('heavy');
    expect(await checkout.setup()).toEqual({ code: 0, said: '' });
    expect((await checkout.setup({ arguments: ['--dev', '--with=heavy'] })).said).toContain('the extras: heavy light');
    expect(packages()).toContain('heavy');
    expect(await checkout.setup({ arguments: ['--with', 'heavy'] })).toEqual({ code: 0, said: '' });
  });

  it('does not keep an extra that could not be had, which would stop every start', async () => {
    expect((await checkout.setup({ arguments: ['--with', 'lost'] })).code).toBe(6);
    const { code, said } = await checkout.setup();
    expect(said).toContain('the extras: heavy light');
    expect(code).toBe(0);
  });

  it('forgets an extra that an update has taken away', async () => {
    const project = join(checkout.root, 'python-worker/pyproject.toml');
    writeFileSync(project, readFileSync(project, 'utf8').replace(/^heavy.*\n/m, ''));
    expect((await checkout.setup()).code).toBe(0);
    expect(await checkout.setup()).toEqual({ code: 0, said: '' });
  });

  it('that waited for one with the tools of the tests leaves them where they are', async () => {
    removeTorch();
    const held: (() => void)[] = [];
    const slow = createServer((_, response) => held.push(() => response.writeHead(404).end()));
    const env = { PIP_NO_INDEX: '0', PIP_INDEX_URL: await listening(slow), KILNWATT_TORCH_INDEX: '' };
    const withTools = checkout.start({ arguments: ['--dev'], env });
    await once(slow, 'request');
    const without = checkout.start({});
    expect(await without.first).toContain('waiting for it');
    slow.removeAllListeners('request').on('request', (_, response) => response.writeHead(404).end());
    for (const answer of held) answer();
    expect((await withTools.ended).code).toBe(0);
    expect(await without.ended).toEqual({ code: 0, said: expect.stringMatching(/^set-up: .* waiting for it$/) });
    slow.close();
    expect(npmArguments()).toContain('--include=dev');
  });

  it('follows a change of the pinned packages', async () => {
    writeFileSync(join(checkout.root, 'package-lock.json'), '{}');
    expect((await checkout.setup()).said).toMatch(/the npm packages\n.*ready/);
  });

  it('leaves the npm packages alone where their lock file is the same', async () => {
    writeFileSync(join(checkout.root, 'package.json'), '{}');
    const { code, said } = await checkout.setup();
    expect(said).toMatch(/the Python packages.*\n[\s\S]*ready/);
    expect(said).not.toContain('npm');
    expect(code).toBe(0);
  });

  it('that was cut off in the middle of a change is not ready for the commit before it either', async () => {
    const list = join(checkout.root, 'python-worker/requirements.txt');
    const before = readFileSync(list, 'utf8');
    appendFileSync(list, 'nowhere==1.0.0\n');
    expect((await checkout.setup()).code).toBe(6);
    writeFileSync(list, before);
    expect((await checkout.setup()).said).toMatch(/the Python packages.*\n[\s\S]*ready/);
    expect(packages()).toContain('pytest');
  });

  it('starts Node once at its end as the command line is started, so that the first run finds compiled modules', async () => {
    const flags = (script: string) =>
      [...readScript(script).matchAll(/--(?:max-semi|heap-growing)[a-z-]+=\d+/g)].join(' ');
    expect(flags('setup')).toMatch(/^--\S+ --\S+$/);
    expect(flags('setup')).toBe(flags('kilnwatt'));
    mkdirSync(join(checkout.root, 'src'));
    writeFileSync(join(checkout.root, 'src/main.ts'), 'console.log(process.env.NODE_COMPILE_CACHE, process.argv[2])');
    writeFileSync(join(checkout.root, 'package.json'), '{ "type": "module" }');
    expect((await checkout.setup()).code).toBe(0);
    const log = readFileSync(join(checkout.root, '.scratch/setup.log'), 'utf8');
    expect(log.trimEnd().split('\n').at(-1)).toBe(`${checkout.root}/.venv/node-compile-cache --version`);
  });

  it('is made anew where the Python of the host became another version', async () => {
    checkout.upgradePython();
    const { code, said } = await checkout.setup();
    expect(said).toMatch(/a Python environment in \.venv/);
    expect(code).toBe(0);
    expect(packages()).toEqual(expect.arrayContaining(['pytest', 'light']));
    expect(await checkout.setup()).toEqual({ code: 0, said: '' });
  });

  it('is made anew where the checkout was moved', async () => {
    checkout.move('moved');
    expect((await checkout.setup()).said).toMatch(/a Python environment in \.venv/);
  });
});

describe('the index of PyTorch for the CPU', { timeout: 120_000 }, () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(404).end();
  });
  let index: string;
  beforeAll(async () => {
    index = await listening(server);
  });
  afterAll(() => server.close());

  const again = async (more: NodeJS.ProcessEnv = {}): Promise<string> => {
    asked.length = 0;
    removeTorch();
    const env = { ...more, PIP_NO_INDEX: '0', PIP_INDEX_URL: `${index}/main`, KILNWATT_TORCH_INDEX: `${index}/cpu` };
    return (await checkout.setup({ env })).said;
  };

  it('is asked for PyTorch and for nothing else', async () => {
    expect(await again()).toContain('PyTorch 2.13.0 for cpu');
    expect(packages()).not.toContain('nvidia_ml_py');
    expect(asked.filter((url) => url.startsWith('/cpu/'))).toEqual(['/cpu/torch/']);
    const log = readFileSync(join(checkout.root, '.venv/.kilnwatt-torch.log'), 'utf8');
    expect(log).toContain(`Could not fetch URL ${index}/cpu/torch/`);
  });

  it('is missed in a sentence, and in room on the disk, where only the PyTorch for NVIDIA cards is found', async () => {
    const [metadata = ''] = globSync(join(checkout.root, '.venv/lib/python3*/site-packages/torch-*/METADATA'));
    appendFileSync(metadata, 'Requires-Dist: nvidia-cudnn-cu13==9.20.0.48; platform_system == "Nowhere"\n');
    rmSync(join(checkout.root, '.venv/.kilnwatt-base'), { force: true });
    rmSync(join(checkout.root, '.venv/.kilnwatt-dev'), { force: true });
    checkout.shim(
      'df',
      'printf "Filesystem 1024-blocks Used Available Capacity Mounted\\n/dev/x 9 9 1500000 99%% /\\n"',
    );
    const { code, said } = await checkout.setup();
    expect(said).toMatch(/the PyTorch for NVIDIA cards runs on a CPU only with all of CUDA, several GB/);
    expect(said).toMatch(/the disk has 1 GB left .* about 8 GB are needed/);
    expect(code).toBe(1);
  });

  it('is not the one for a card that nvidia-smi lists, whose meter is installed too', async () => {
    checkout.shim('nvidia-smi', 'echo "GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-1)"');
    expect(await again({ KILNWATT_SETUP_DEVICE: '' })).toContain('PyTorch 2.13.0 for NVIDIA');
    expect(packages()).toContain('nvidia_ml_py');
  });

  it('is not asked for when that card does not show any more: what was made for it stays', async () => {
    const env = { KILNWATT_SETUP_DEVICE: '' };
    expect(await checkout.setup({ env })).toEqual({ code: 0, said: '' });
    expect(await checkout.setup({ arguments: ['--device'], env })).toEqual({ code: 0, said: 'nvidia' });
  });

  it('follows KILNWATT_SETUP_DEVICE where an environment for a card is there too, and a wrong value is named', async () => {
    const device = (value: string) =>
      checkout.setup({ arguments: ['--device'], env: { KILNWATT_SETUP_DEVICE: value } });
    expect(await device('cpu')).toEqual({ code: 0, said: 'cpu' });
    expect(await device('gpu')).toEqual({
      code: 4,
      said: "set-up: KILNWATT_SETUP_DEVICE is 'gpu', and cpu or nvidia is needed: correct it or unset it",
    });
  });
});

/** Its address, on loopback. */
async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return `http://127.0.0.1:${address.port}`;
}

/** As if the set-up had been left before it came to PyTorch. */
function removeTorch(): void {
  for (const part of globSync(join(checkout.root, '.venv/lib/python3*/site-packages/torch-*')))
    rmSync(part, { recursive: true });
  rmSync(join(checkout.root, '.venv/.kilnwatt-base'), { force: true });
  rmSync(join(checkout.root, '.venv/.kilnwatt-dev'), { force: true });
}

function readScript(name: string): string {
  return readFileSync(join(import.meta.dirname, '../../scripts', name), 'utf8');
}

function packages(): string[] {
  return globSync(join(checkout.root, '.venv/lib/python3*/site-packages/*.dist-info')).map((path) =>
    path.replace(/^.*\/([^/-]+)-[^/]*$/, '$1'),
  );
}

function npmArguments(): string {
  return readFileSync(join(checkout.root, 'node_modules/.package-lock.json'), 'utf8');
}

/** A Python that runs a script after something was changed in it. */
function pretending(change: string): string {
  return `exec ${realPython()} -c 'import sys, runpy; ${change}; runpy.run_path(sys.argv[1])' "$@"`;
}

function realPython(): string {
  return join(import.meta.dirname, '../../.venv/bin/python');
}
