/** Where, and how, is a router's SNAT done? Facts of Neutron in, rows and pictures out. */
export {type ColumnOf, columnsFor, HOST_TABLE, STATUS_DATA, STATUS_TABLE, statusData} from './columns.ts'
export {type AlternativeRow, compare, DEFAULT_PORTS_PER_VM} from './compare.ts'
export {compareSvg} from './compare-svg.ts'
export {type Facts, type Gap, gather, isPartial, NO_FACTS, type SnatCloud} from './facts.ts'
export {mask} from './mask.ts'
export {grow, measure, parseGrowth, type Quantities} from './measure.ts'
export {MODES, type Mode, RULES} from './modes.ts'
export {
  COMPARE_DATA,
  COMPARE_TABLE,
  COMPARISON_DATA,
  compareSummary,
  DETAIL_DATA,
  detailParts,
  HOP_TABLE,
  TRACE_DATA,
  traceSummary,
} from './parts.ts'
export {prometheus} from './prometheus.ts'
export {
  type CompareOptions,
  type Comparison,
  readComparison,
  readDetail,
  readStatus,
  readTrace,
} from './read.ts'
export {type Recording, readRecording, record, recordedCloud, recordingText} from './recording.ts'
export {type Detail, show} from './show.ts'
export {hasProblem, type Status, type StatusFilter, type StatusRow, status} from './status.ts'
export {type Trace, trace} from './trace.ts'
export {traceSvg} from './trace-svg.ts'
