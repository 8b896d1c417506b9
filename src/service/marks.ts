/* By what is written on it something in the cloud is known to be ours. */

/** How the description of port and floating IP begins by which a gate that the service has made is reached. */
export const OF_GATE = 'os-ssh gate '

/** Is it a port by which a gate that some service has made is reached? */
export const isOfGate = ({description}: {readonly description?: string}) =>
  description?.startsWith(OF_GATE) === true

/** By this description the ports of one service that lead into networks are found, whatever rows say. */
export const portDescription = (serviceId: string) => `os-ssh service ${serviceId}`
