/** Rows in columns, each as wide as its widest cell. */
export function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** The same, with the last cell broken into lines that end at `width`. */
export function wrappedColumns(rows: readonly (readonly string[])[], width: number): readonly string[] {
  const heads = columns(rows.map((row) => [...row.slice(0, -1), '|']));
  return rows.flatMap((row, at) => {
    const head = (heads[at] ?? '|').slice(0, -1);
    const lines = wrapped(row.at(-1) ?? '', width - head.length);
    return lines.map((line, number) => `${number === 0 ? head : ' '.repeat(head.length)}${line}`.trimEnd());
  });
}

/** Lines of whole words; a word that is longer than a line has one of its own. */
export function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
