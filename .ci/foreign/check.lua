-- Draws with a MessagePack-RPC client that has nothing to do with this project: Neovim's own.
--
--     DRAW_DISPLAY=HOST:PORT nvim --headless -u NONE -i NONE -n -c 'luafile check.lua' -c 'cquit 1'
--
-- Ends with status 0 if everything is as expected; else with a sentence and status 1.

local RED, GREEN, BLUE = 0xff0000ff, 0x00ff00ff, 0x0000ffff

local function check(holds, ...)
  if not holds then
    error(string.format(...), 0)
  end
end

local function main()
  local address = assert(os.getenv('DRAW_DISPLAY'), 'DRAW_DISPLAY is not set')
  local display = vim.fn.sockconnect('tcp', address, { rpc = true })
  check(display > 0, 'no connection to %s', address)

  local function call(method, ...)
    return vim.rpcrequest(display, method, ...)
  end
  local function expect(x, y, color)
    local got = call('get_pixel', x, y)
    check(got == color, 'the pixel (%d, %d) is %08x, expected %08x', x, y, got, color)
  end
  local function refused(says, method, ...)
    local ok, text = pcall(vim.rpcrequest, display, method, ...)
    check(not ok, '%s succeeded, expected an error that says %q', method, says)
    text = tostring(text)
    check(text:find(says, 1, true), '%s: expected an error that says %q, got %q', method, says, text)
  end

  local width, height = unpack(call('get_size'))
  check(width >= 320 and height >= 240, 'the display has %dx%d, too small for this check', width, height)
  check(call('clear', 0x000000ff) == vim.NIL, 'clear answers nil')
  call('draw_pixel', 1, 2, RED)
  expect(1, 2, RED)
  call('fill_rect', 10, 10, 5, 5, GREEN)
  expect(14, 14, GREEN)
  expect(15, 14, 0x000000ff)
  call('draw_pixels', { { 20, 20, BLUE }, { 21, 20, RED } })
  expect(21, 20, RED)
  -- Neovim has no bin: a Lua string travels as str, whatever its bytes are.
  call('draw_pixels', '\0\30\0\20\255\254\253\252')
  expect(30, 20, 0xfffefdfc)
  call('put_image', 40, 20, 1, 2, '\1\2\3\255\128\129\130\255')
  expect(40, 21, 0x808182ff)
  local image = call('get_image', 40, 20, 1, 2)
  check(image == '\1\2\3\255\128\129\130\255', 'get_image answered %q', tostring(image))
  call('add_pixel', 40, 21, 0x01000001)
  expect(40, 21, 0x81818300)
  local mouse = call('get_mouse')
  check(mouse == vim.NIL or #mouse >= 2, 'get_mouse answers nil or [x, y]')

  local x = math.max(700, width)
  refused(string.format('out_of_bounds: (%d, 10) is outside %dx%d', x, width, height), 'draw_pixel', x, 10, RED)
  refused('unknown_method: ', 'draw_teapot')
  refused('invalid_argument: ', 'draw_pixel', 'one', 2, RED)

  vim.rpcnotify(display, 'draw_pixel', 50, 20, RED)
  vim.rpcnotify(display, 'draw_pixel', width, 20, RED)
  call('sync')
  expect(50, 20, RED)

  for i = 0, 999 do
    call('draw_pixel', i % 100, 100 + math.floor(i / 100), 0xff + i * 256)
  end
  for i = 0, 999 do
    expect(i % 100, 100 + math.floor(i / 100), 0xff + i * 256)
  end
  vim.fn.chanclose(display)
end

local ok, problem = pcall(main)
if not ok then
  io.stderr:write('check.lua: ' .. tostring(problem) .. '\n')
  vim.cmd('cquit 1')
end
io.stdout:write('  1,000 pixels, errors and questions by Neovim: as expected\n')
vim.cmd('qall!')
