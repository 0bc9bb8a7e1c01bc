/** A LoRA as a line or the command line named it. */
export interface LoraDraft {
  /** A path, or a name in the folder of LoRAs. */
  readonly name: string;
  readonly weight: number;
}

export const MAX_LORA_WEIGHT = 100;

/** Reads `NAME` or `NAME:WEIGHT`; undefined where it is neither, as a name with a colon. A comma is a decimal point too. */
export function parseLora(text: string): LoraDraft | undefined {
  const { name = '', weight = '1' } = NAME_AND_WEIGHT.exec(text.trim())?.groups ?? {};
  const number = Number(weight.replace(',', '.'));
  if (name === '' || Math.abs(number) > MAX_LORA_WEIGHT) return undefined;
  return { name, weight: number };
}

const NAME_AND_WEIGHT = /^(?<name>[^:]*?)\s*(?::\s*(?<weight>[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)))?$/;
