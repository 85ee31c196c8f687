/** The words of a text, lower-case, with how often each occurs. The one thing the demo and its check share. */
export function countWords(text: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const [word] of text.toLowerCase().matchAll(/\p{L}[\p{L}\p{N}]*/gu)) {
    counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return counts
}
