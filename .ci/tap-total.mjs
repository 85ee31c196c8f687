/** Reads the closing line of a TAP stream, `# { total: 4, pass: 3, skip: 1 }`; keys that are zero are left out of it. */
export function tapTotal(text) {
  const line = text.match(/^# \{ (.*) \}$/gm)?.at(-1)
  if (line === undefined) return undefined
  const count = key => Number(new RegExp(`\\b${key}: (\\d+)`).exec(line)?.[1] ?? 0)
  return { passed: count('pass'), failed: count('fail') }
}
