/** Job ids are `<run id>-<index>`. */
export function runIdOf(jobId: string): string {
  return jobId.slice(0, Math.max(0, jobId.lastIndexOf('-')));
}
