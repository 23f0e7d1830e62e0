-- Refuses JSON requests that do not mean what they say, before the transcoder reads them, and reads
-- the scheme of tokens in any case.
--
-- The transcoder drops fields that it does not know, and lets a query parameter override the path.
-- This filter finds the method of a JSON call by its template, refuses parameters that the path or
-- the body binds, and follows the body chunk by chunk: a field that the message does not have, or
-- that stands there twice, is INVALID_ARGUMENT and named, as in protojson.
--
-- Nothing is held back: by the time a bad field is met, the transcoder has what came before it. So
-- the rest of the body is replaced by bytes that are no JSON, and the reason is left in METADATA,
-- from which the local reply is made (local_replies.py).
--
-- OWN, MESSAGES, BINDINGS, METADATA and the limits are written in front of this by json_requests.py.

local byte, find, sub, format, gsub = string.byte, string.find, string.sub, string.format, string.gsub

local QUOTE, COLON, COMMA, SPACE = 34, 58, 44, 32
local OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST = 123, 125, 91, 93
local PAD = 61
local NULL = 110 -- the first letter of the word
-- A number that no enum has.
local NO_NUMBER = "2147483647"
local WORDS = { ["true"] = true, ["false"] = true, ["null"] = true }
-- Chunks that one number may be spread over.
local WORD_PARTS = 64

-- Not JSON. The transcoder is lenient (single quotes, names without any, a comma at the end), and
-- what it would make of the rest is not followed here, so that it is refused.
local MALFORMED = { field = "", why = "the body is not JSON" }

-- The body as it comes: `text` is the chunk that is read, `at` where; `pull` gets the next one.
-- `names` is the way to the value that is read, `depth` how many of them there are.
local Reader = {}
Reader.__index = Reader

function Reader:more()
  self:mend()
  local chunk = self.pull()
  while chunk ~= nil and chunk:length() == 0 do
    chunk = self.pull()
  end
  self.chunk, self.text, self.at, self.backslash = chunk, "", 1, 0
  if chunk == nil then
    return false
  end
  self.text = chunk:getBytes(0, chunk:length())
  return true
end

-- Write the chunk anew with what replaces single values of it.
function Reader:mend()
  if #self.edits == 0 then
    return
  end
  local parts, at = {}, 1
  for _, edit in ipairs(self.edits) do
    parts[#parts + 1] = sub(self.text, at, edit.first - 1)
    parts[#parts + 1] = edit.text
    at = edit.last + 1
  end
  parts[#parts + 1] = sub(self.text, at)
  self.chunk:setBytes(table.concat(parts))
  self.edits = {}
end

function Reader:path()
  local path = ""
  for level = 1, self.depth do
    local name = self.names[level]
    if type(name) == "number" then
      path = format("%s[%d]", path, name)
    else
      path = path == "" and name or path .. "." .. name
    end
  end
  return path
end

function Reader:refuse(why)
  error({ field = self:path(), why = why }, 0)
end

-- Go one level deeper, to a member's name or an item's index.
function Reader:enter(name)
  local depth = self.depth + 1
  self.names[depth], self.depth = name, depth
  self.tokens = self.tokens + 1
  if depth > DEPTH_LIMIT then
    self:refuse("nested too deep")
  elseif self.tokens > TOKENS_LIMIT then
    self:refuse("the body has too many values")
  end
end

function Reader:leave()
  self.depth = self.depth - 1
end

-- The byte that comes next, behind any space; it is not taken.
function Reader:peek()
  local first = byte(self.text, self.at)
  if first and first > SPACE then
    return first
  end
  while true do
    local at = find(self.text, "[^ \t\r\n]", self.at)
    if at then
      self.at = at
      return byte(self.text, at)
    end
    if not self:more() then
      error(MALFORMED, 0)
    end
  end
end

-- Take the byte that comes next, behind any space.
function Reader:take()
  local first = self:peek()
  self.at = self.at + 1
  return first
end

-- Read a string behind its opening quote; return it, with escapes as they are, if it is a key.
-- Plain searches for one byte are many times as fast as patterns: strings are most of a body.
function Reader:string(is_key)
  local parts = nil
  while true do
    local text, at = self.text, self.at
    local quote = find(text, '"', at, true)
    if self.backslash < at then
      self.backslash = find(text, "\\", at, true) or #text + 1
    end
    local last = quote or #text + 1
    local escapes = self.backslash < last
    if escapes then
      last = self.backslash
    end
    if quote and not escapes then
      self.at = quote + 1
      local rest = is_key and sub(text, at, quote - 1)
      return parts and parts .. rest or rest
    end
    if escapes then
      last = last + 1 -- with the byte behind it, which may be in the next chunk
      if last > #text then
        if is_key then
          parts = (parts or "") .. sub(text, at)
        end
        if not self:more() then
          error(MALFORMED, 0)
        end
        text, at, last = self.text, 1, 1
      end
      self.at = last + 1
    elseif is_key then
      last = #text
    end
    if is_key then
      parts = (parts or "") .. sub(text, at, last)
      if #parts > KEY_LIMIT then
        self:refuse("a field's name is too long")
      end
    end
    if not escapes and not self:more() then
      error(MALFORMED, 0)
    end
  end
end

-- Letters of base64: of both alphabets, of the usual one, of the one for URLs.
local BOTH, USUAL, URLS = 0, 1, 2
local BASE64 = {}
for letter in string.gmatch("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", ".") do
  BASE64[byte(letter)] = BOTH
end
BASE64[43], BASE64[47], BASE64[45], BASE64[95] = USUAL, USUAL, URLS, URLS

local function is_base64(text, first, last)
  local padded = last
  while padded > last - 2 and padded >= first and byte(text, padded) == PAD do
    padded = padded - 1
  end
  local alphabet = BOTH
  for at = first, padded do
    local of = BASE64[byte(text, at)]
    if of == nil or (of ~= BOTH and alphabet ~= BOTH and of ~= alphabet) then
      return false
    elseif of ~= BOTH then
      alphabet = of
    end
  end
  return (padded - first + 1) % 4 ~= 1
end

-- A string in a batch's item. The transcoder refuses the whole batch over one that is no base64, or
-- no name of the enum: such a value becomes one that the service refuses in its own answer.
function Reader:item_string(field)
  local text, first = self.text, self.at
  self.at = first + 1
  local content = self:string(field.enum ~= nil)
  if field.enum then
    if not field.enum[content] and self.text == text then
      self.edits[#self.edits + 1] = { first = first, last = self.at - 1, text = NO_NUMBER }
    end
  elseif self.text == text and not is_base64(text, first + 1, self.at - 2) then
    -- One that goes on in another chunk has gone in part, and stays the transcoder's to refuse.
    self.edits[#self.edits + 1] = { first = first, last = self.at - 1, text = '""' }
  end
end

-- A number or a word, up to what ends it.
function Reader:word()
  local parts = {}
  while true do
    local at = find(self.text, "[,%]} \t\r\n]", self.at)
    parts[#parts + 1] = sub(self.text, self.at, (at or #self.text + 1) - 1)
    self.at = at or #self.text + 1
    if at or #parts > WORD_PARTS or not self:more() then
      break
    end
  end
  local word = table.concat(parts)
  if not WORDS[word] and not find(word, "^-?%d[%deE.+-]*$") then
    error(MALFORMED, 0)
  end
end

-- Nothing but space may follow the body's value.
function Reader:finish()
  repeat
    if find(self.text, "[^ \t\r\n]", self.at) then
      error(MALFORMED, 0)
    end
  until not self:more()
end

local function utf8_of(code)
  if code < 0x80 then
    return string.char(code)
  elseif code < 0x800 then
    return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64)
  end
  return string.char(
    0xE0 + math.floor(code / 4096),
    0x80 + math.floor(code / 64) % 64,
    0x80 + code % 64
  )
end

local PLAIN = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- A member's name, and the colon behind it; a name may be written with escapes.
function Reader:key()
  if self:take() ~= QUOTE then
    error(MALFORMED, 0)
  end
  local key = self:string(true)
  if find(key, "\\", 1, true) then
    key = gsub(key, "\\u(%x%x%x%x)", function(hex)
      return utf8_of(tonumber(hex, 16))
    end)
    key = gsub(key, "\\(.)", PLAIN)
  end
  if self:take() ~= COLON then
    error(MALFORMED, 0)
  end
  return key
end

-- Behind a member or an item: whether another one follows.
function Reader:another(close)
  local following = self:take()
  if following ~= close and following ~= COMMA then
    error(MALFORMED, 0)
  end
  return following == COMMA
end

-- Take the opening bracket; whether there is anything before the closing one, which is taken else.
function Reader:opened(close)
  self.at = self.at + 1
  if self:peek() ~= close then
    return true
  end
  self.at = self.at + 1
  return false
end

-- Any value: of a scalar, or of a message whose JSON has a form of its own.
local function free(reader)
  local first = reader:peek()
  if first == QUOTE then
    reader.at = reader.at + 1
    reader:string(false)
  elseif first == OPEN_OBJECT then
    if reader:opened(CLOSE_OBJECT) then
      repeat
        reader:enter(reader:key())
        free(reader)
        reader:leave()
      until not reader:another(CLOSE_OBJECT)
    end
  elseif first == OPEN_LIST then
    if reader:opened(CLOSE_LIST) then
      local index = 0
      repeat
        reader:enter(index)
        free(reader)
        reader:leave()
        index = index + 1
      until not reader:another(CLOSE_LIST)
    end
  else
    reader:word()
  end
end

-- Reads the value of a field; defined below.
local field_value

-- A value that may be a message.
local function value(reader, message)
  if message == nil or reader:peek() ~= OPEN_OBJECT then
    return free(reader)
  end
  local fields = MESSAGES[message]
  -- What was seen of this object: the marks of earlier ones at this depth have other numbers.
  reader.object = reader.object + 1
  local object, seen = reader.object, reader.seen[reader.depth] or {}
  reader.seen[reader.depth] = seen
  if not reader:opened(CLOSE_OBJECT) then
    return
  end
  repeat
    local key = reader:key()
    local field = fields[key]
    reader:enter(field and field.name or key)
    if field == nil then
      reader:refuse("no such field")
    elseif seen[field] == object then
      reader:refuse("stands there twice")
    end
    seen[field] = object
    local oneof = field.oneof
    if oneof and reader:peek() ~= NULL then
      if seen[oneof] == object then
        reader:refuse("another of these is set")
      end
      seen[oneof] = object
    end
    field_value(reader, field)
    reader:leave()
  until not reader:another(CLOSE_OBJECT)
end

field_value = function(reader, field)
  if field.repeated and reader:peek() == OPEN_LIST then
    local is_item = reader.in_item
    reader.in_item = is_item or reader.is_batch
    if reader:opened(CLOSE_LIST) then
      local index = 0
      repeat
        reader:enter(index)
        if field.bytes and reader.in_item and reader:peek() == QUOTE then
          reader:item_string(field)
        else
          value(reader, field.message)
        end
        reader:leave()
        index = index + 1
      until not reader:another(CLOSE_LIST)
    end
    reader.in_item = is_item
  elseif reader.in_item and (field.bytes or field.enum) and reader:peek() == QUOTE then
    reader:item_string(field)
  elseif field.map and reader:peek() == OPEN_OBJECT then
    if reader:opened(CLOSE_OBJECT) then
      local seen = {}
      repeat
        local key = reader:key()
        reader:enter(key)
        if seen[key] then
          reader:refuse("stands there twice")
        end
        seen[key] = true
        value(reader, field.message)
        reader:leave()
      until not reader:another(CLOSE_OBJECT)
    end
  elseif field.repeated or field.map then
    free(reader)
  else
    value(reader, field.message)
  end
end

local function cut(text)
  return #text > FIELD_LIMIT and sub(text, 1, FIELD_LIMIT) or text
end

-- Text as a JSON string shows it; what is not plain ASCII becomes a question mark.
local function shown(text)
  return (gsub(cut(text), '[%c"\\\128-\255]', "?"))
end

local function refusal(field, why)
  local at, description = shown(field), why
  local message = at == "" and description or at .. ": " .. description
  local details = '{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"INVALID_ARGUMENT",'
    .. '"domain":"' .. ERROR_DOMAIN .. '","metadata":{}}'
  if at ~= "" then
    details = details
      .. ',{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":'
      .. '[{"field":"' .. at .. '","description":"' .. description .. '"}]}'
  end
  return '{"code":3,"message":"' .. message .. '","details":[' .. details .. "]}"
end

local NOT_ALLOWED = '{"code":12,"message":"no such method","details":[{"@type":'
  .. '"type.googleapis.com/google.rpc.ErrorInfo","reason":"UNIMPLEMENTED","domain":"'
  .. ERROR_DOMAIN .. '","metadata":{}}]}'

local function respond(handle, status, headers, body)
  headers[":status"] = status
  headers["content-type"] = "application/json"
  handle:streamInfo():dynamicMetadata():set(METADATA, "refusal", body)
  handle:respond(headers, body)
end

-- The templates of as many segments as the path has, and the method's verbs there.
local function bindings_of(path)
  local _, segments = gsub(path, "/", "/")
  local found, verbs = nil, {}
  for _, list in ipairs({ BINDINGS[segments] or {}, BINDINGS[0] }) do
    for _, binding in ipairs(list) do
      if find(path, binding.pattern) then
        -- A custom verb (":revoke") goes before a template that would take it for a part of a name.
        if found == nil or binding.rank > found then
          found, verbs = binding.rank, {}
        end
        if binding.rank == found then
          verbs[binding.verb] = verbs[binding.verb] or binding
        end
      end
    end
  end
  return verbs
end

local function decoded(text)
  text = gsub(text, "+", " ")
  return (gsub(text, "%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- The first parameter that must not stand there, and why.
local function bad_parameter(binding, query)
  local seen = {}
  for pair in string.gmatch(query, "[^&]+") do
    local name = decoded(string.match(pair, "^[^=]*"))
    local fields, field, top = MESSAGES[binding.message], nil, nil
    for part in string.gmatch(name, "[^.]+") do
      field = fields and fields[part]
      if not field then
        break
      end
      top = top and top .. "." .. field.name or field.name
      fields = field.message and MESSAGES[field.message]
    end
    -- One that the message does not have is the transcoder's to refuse.
    if field then
      local first = string.match(top, "^[^.]+")
      if binding.bound[top] or binding.bound[first] then
        return name, "stands in the path"
      end
      if binding.body == "*" or binding.body == first then
        return name, "belongs in the body"
      end
      if seen[top] and not field.repeated then
        return name, "stands there twice"
      end
      seen[top] = true
    end
  end
end

local function follow(handle, binding)
  local reader = setmetatable(
    {
      pull = handle:bodyChunks(),
      names = {},
      depth = 0,
      tokens = 0,
      seen = {},
      object = 0,
      edits = {},
      is_batch = binding.batch,
      in_item = false,
    },
    Reader
  )
  local well, failure = pcall(function()
    -- No body at all is an empty message.
    if not reader:more() then
      return
    end
    if binding.field then
      reader:enter(binding.body)
      field_value(reader, binding.field)
    else
      value(reader, binding.message)
    end
    reader:finish()
  end)
  if well then
    return
  end
  if type(failure) ~= "table" then
    handle:logErr(tostring(failure)) -- a defect of this program, whose body is not let through
    failure = { field = "", why = "the body cannot be checked" }
  end
  local chunk = reader.chunk
  if chunk == nil then
    return -- it ended too early, which the transcoder has seen and says
  end
  handle:streamInfo():dynamicMetadata():set(METADATA, "refusal", refusal(failure.field, failure.why))
  while chunk ~= nil do
    chunk:setBytes(SPOILED)
    chunk = reader.pull()
  end
end

-- The name of the scheme is read in any case (RFC 9110, section 11.1); Envoy compares it exactly.
local function read_scheme(headers)
  local value = headers:get("authorization")
  if value and sub(value, 1, 7) ~= "Bearer " and string.lower(sub(value, 1, 7)) == "bearer " then
    -- Two of them stay two, and are refused.
    if headers:getNumValues("authorization") == 1 then
      headers:replace("authorization", "Bearer " .. sub(value, 8))
    end
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  read_scheme(headers)
  local kind = headers:get("content-type")
  if kind and find(kind, "^application/grpc") then
    return
  end
  local path, verb = headers:get(":path"), headers:get(":method")
  local mark = find(path, "?", 1, true)
  if OWN[mark and sub(path, 1, mark - 1) or path] and verb ~= "GET" and verb ~= "HEAD" then
    return respond(handle, "405", { allow = "GET, HEAD" }, NOT_ALLOWED)
  end
  local query = mark and sub(path, mark + 1) or ""
  local verbs = bindings_of(mark and sub(path, 1, mark - 1) or path)
  if next(verbs) == nil then
    return
  end
  if verb == "HEAD" and verbs.GET then
    headers:replace(":method", "GET")
    handle:streamInfo():dynamicMetadata():set(METADATA, "head", true)
    verb = "GET"
  end
  local binding = verbs[verb]
  if binding == nil then
    if verb == "OPTIONS" then
      return
    end
    local allowed = {}
    for one in pairs(verbs) do
      allowed[#allowed + 1] = one
      allowed[#allowed + 1] = one == "GET" and "HEAD" or nil
    end
    table.sort(allowed)
    return respond(handle, "405", { allow = table.concat(allowed, ", ") }, NOT_ALLOWED)
  end
  if query ~= "" then
    local field, why = bad_parameter(binding, query)
    if field then
      return respond(handle, "400", {}, refusal(field, why))
    end
  end
  handle:streamInfo():dynamicMetadata():set(METADATA, "checked", true)
  if binding.json then
    follow(handle, binding)
  end
end

local OF_GRPC = { "grpc-status", "grpc-message", "grpc-accept-encoding", "grpc-encoding" }

function envoy_on_response(handle)
  local left = handle:streamInfo():dynamicMetadata():get(METADATA)
  if left == nil then
    return
  end
  if left.checked then
    -- The transcoder has made HTTP's status and the body of them. The access log keeps the status.
    local status = handle:headers():get("grpc-status")
    if status then
      handle:streamInfo():dynamicMetadata():set(METADATA, "grpc_status", status)
    end
    for _, name in ipairs(OF_GRPC) do
      handle:headers():remove(name)
    end
  end
  if not left.head then
    return
  end
  local body = handle:body()
  if body then
    local length = body:length()
    body:setBytes("")
    handle:headers():replace("content-length", tostring(length))
  end
end
