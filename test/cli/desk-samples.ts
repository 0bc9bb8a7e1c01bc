import { type PathFlags, type RemoteAsk, remoteAskOf } from '../../src/cli/desk-ask.ts';
import type { LoadedConfig } from '../../src/config.ts';
import type { Ask } from '../../src/submission.ts';

/** What `submit` understood on a host with this configuration. */
export function askHere(change: Partial<Ask>, { config }: LoadedConfig): Ask {
  return {
    id: null,
    drafts: ['a cat', 'a dog'].map((prompt, at) => ({ prompt, place: `p.txt:${at + 1}` })),
    flags: {},
    defaultModel: config.model,
    n: 1,
    order: 'breadth',
    name: null,
    hint: 'p',
    fresh: false,
    retryFailed: false,
    remakeMissing: false,
    out: null,
    defaultOut: config.out,
    pattern: config.pattern,
    format: config.format,
    sidecar: config.sidecar,
    preset: config.preset,
    priority: 'bulk',
    when: null,
    tags: {},
    ...change,
  };
}

/** The same as it travels. */
export function remote(change: Partial<Ask>, loaded: LoadedConfig, flags: PathFlags = {}): RemoteAsk {
  return remoteAskOf(askHere(change, loaded), loaded, flags);
}
