import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {sql} from 'kysely'

import {atomically, openStore, type Store} from '../../../src/service/store/open.ts'

/* What the driver does with a transaction that SQLite itself has ended. */

let db: Store
beforeAll(async () => {
  db = await openStore(':memory:')
  await sql`create table paper (text)`.execute(db)
})
afterAll(() => db.destroy())

const write = (bytes: number) =>
  atomically(db, tx => sql`insert into paper values (zeroblob(${bytes}))`.execute(tx))

it('a full disk in a transaction is told as that, and the next transaction goes on', async () => {
  await sql`pragma max_page_count = 200`.execute(db)
  await expect(write(1_000_000)).rejects.toMatchObject({
    code: 'SQLITE_FULL',
    message: 'database or disk is full',
  })
  await sql`pragma max_page_count = 100000`.execute(db)
  await write(1_000_000)
  expect((await sql`select text from paper`.execute(db)).rows).toHaveLength(1)
})
