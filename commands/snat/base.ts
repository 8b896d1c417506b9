import {Flags} from '@oclif/core'

import {
  mask,
  readRecording,
  record,
  recordedCloud,
  recordingText,
  type SnatCloud,
} from '../../src/snat/index.ts'
import {writeAtomic} from '../../src/system/files.ts'
import {smallHeap} from '../../src/system/heap.ts'
import {CloudCommand, type CloudFlags} from '../base.ts'

/** A question about SNAT: asked of the cloud, or of a recording of its answers. */
export abstract class SnatCommand extends CloudCommand {
  static override baseFlags = {
    ...CloudCommand.baseFlags,
    facts: Flags.string({
      description: 'of a recording instead of a cloud',
      helpValue: 'FILE',
      helpGroup: 'RECORDING',
      exclusive: ['record'],
    }),
    record: Flags.string({
      description: 'also write down all that the cloud says, for --facts or a bug report',
      helpValue: 'FILE',
      helpGroup: 'RECORDING',
    }),
    mask: Flags.boolean({
      description: 'with other names and addresses in the recording',
      helpGroup: 'RECORDING',
      dependsOn: ['record'],
    }),
  }

  protected async answer<T>(
    flags: CloudFlags & {
      readonly facts?: string | undefined
      readonly record?: string | undefined
      readonly mask?: boolean
    },
    question: (cloud: SnatCloud) => Promise<T>,
  ): Promise<T> {
    // The listings live on, and the command ends with its answer.
    smallHeap()
    const {facts, record: file} = flags
    if (facts !== undefined) return question(recordedCloud(await readRecording(facts)))
    return this.inSession(flags, async ({cloud}) => {
      if (file === undefined) return question(cloud)
      const recorded = await record(cloud)
      await writeAtomic(file, recordingText(flags.mask ? mask(recorded) : recorded), 0o600)
      this.logToStderr(`recorded in ${file}`)
      return question(recordedCloud(recorded))
    })
  }
}
