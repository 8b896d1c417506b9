import {shortId, timeLeft} from '../names/brief.ts'
import type {Path} from '../protocol/index.ts'
import type {Column} from './output.ts'

/** Fields of a path; `listed` stand in a listing without `-c`. */
export const pathColumns: readonly (Column<Path> & {readonly listed?: boolean})[] = [
  {name: 'server_name', title: 'VM', listed: true, shrink: true},
  {name: 'id', title: 'ID', listed: true, drop: 0, brief: path => shortId(path.id)},
  {
    name: 'state',
    title: 'State',
    listed: true,
    colour: path => (path.state === 'active' ? 'green' : path.state === 'failed' ? 'red' : 'yellow'),
  },
  {name: 'expires_at', title: 'Expires', listed: true, brief: path => timeLeft(path.expires_at)},
  {name: 'user_name', title: 'User'},
  {name: 'server_id', title: 'VM ID', listed: true, brief: path => shortId(path.server_id)},
  {name: 'route', title: 'Route', listed: true},
  {name: 'gate', title: 'Gate', listed: true, get: path => path.gate.name},
  {name: 'project_id', title: 'Project', brief: path => shortId(path.project_id)},
  {name: 'address', title: 'Address'},
  {name: 'alias', title: 'Alias'},
  {name: 'port', title: 'Port'},
  {name: 'login', title: 'Login'},
  {name: 'network_id', title: 'Network'},
  {name: 'created_at', title: 'Created'},
]
