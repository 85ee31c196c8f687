import type { CopyLocal } from '../process/pending-calls.js'

/**
 * A payload with code in it, for a process of this node: definitions and specs are values that stay where they are, also
 * where mail is forced through the codec. No codec knows it, so it is refused on its way to another node.
 */
export class Handover<Code extends object> {
  readonly code: Code
  readonly data: unknown

  constructor(code: Code, data: unknown) {
    this.code = code
    this.data = data
  }

  copied(copy: CopyLocal): Handover<Code> {
    return new Handover(this.code, copy(this.data, 'args'))
  }
}
