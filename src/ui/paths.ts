import type {Path} from '../protocol/index.ts'
import type {Column} from './output.ts'

/** Fields of a path; `listed` stand in a listing without `-c`. */
export const pathColumns: readonly (Column<Path> & {readonly listed?: boolean})[] = [
  {name: 'id', title: 'ID', listed: true},
  {name: 'server_name', title: 'VM', listed: true},
  {name: 'server_id', title: 'VM ID', listed: true},
  {
    name: 'state',
    title: 'State',
    listed: true,
    colour: path => (path.state === 'active' ? 'green' : path.state === 'failed' ? 'red' : 'yellow'),
  },
  {name: 'route', title: 'Route', listed: true},
  {name: 'gate', title: 'Gate', listed: true, get: path => path.gate.name},
  {name: 'expires_at', title: 'Expires', listed: true},
  {name: 'address', title: 'Address'},
  {name: 'alias', title: 'Alias'},
  {name: 'port', title: 'Port'},
  {name: 'login', title: 'Login'},
  {name: 'network_id', title: 'Network'},
  {name: 'project_id', title: 'Project'},
  {name: 'user_name', title: 'User'},
  {name: 'created_at', title: 'Created'},
]
