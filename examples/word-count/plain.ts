import { readdirSync, readFileSync } from 'node:fs'
import { countWords } from './tokenize.js'

/** The same count the plain way: one process, one loop. What the cluster's count is compared with. */
export function plainCount(folder: string, total = new Map<string, number>()): Map<string, number> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) plainCount(path, total)
    else if (entry.isFile() && entry.name.toLowerCase().endsWith('.md')) {
      for (const [word, n] of countWords(readFileSync(path, 'utf8')))
        total.set(word, (total.get(word) ?? 0) + n)
    }
  }
  return total
}
