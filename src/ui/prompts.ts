/**
 * Questions for a user at a terminal, on standard error so that standard output stays data. None when there is no
 * terminal, where inquirer would just end the process.
 */
export function questions() {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return {}
  const hidden = (message: string) => async () => {
    const {password} = await import('@inquirer/prompts')
    return password({message, mask: true}, {output: process.stderr})
  }
  return {
    password: hidden('Password:'),
    passcode: hidden('One-time password:'),
    passphrase: hidden('Passphrase of the file keychain:'),
  }
}
