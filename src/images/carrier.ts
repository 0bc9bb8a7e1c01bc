/** What is put into a picture file, whatever its format. */
export interface Texts {
  /** AUTOMATIC1111's text, or null. */
  readonly parameters: string | null;
  /** Our own chunk, as JSON. */
  readonly kilnwatt: string;
  /** Our own chunk without the request, for formats that hold little. */
  readonly kilnwattShort: string;
  /** Program name and version. */
  readonly software: string;
  /** The XMP packet. */
  readonly xmp: string;
}

/** What was found in a picture file. */
export interface FoundTexts {
  readonly parameters: string | null;
  readonly kilnwatt: string | null;
}

/**
 * A file format that can carry our texts. Both methods look at the whole structure of the file first;
 * `path` only serves their errors.
 * @throws StorageError `image_broken` where the file is cut short or of another format
 */
export interface Carrier {
  /** The file with the texts in it, as pieces to be written one after the other; the pixels stay as they are. */
  embed(file: Buffer, texts: Texts, path: string): readonly Buffer[];
  read(file: Buffer, path: string): FoundTexts;
}
