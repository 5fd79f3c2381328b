--TEST--
Every argument of every method takes any value, or says what is wrong with it, whatever runs meanwhile
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--FILE--
<?php
require 'gateway.inc';

// In memory, where there is such a file system: a busy disk may take longer than the gateway waits.
$store = (is_writable('/dev/shm') ? '/dev/shm' : sys_get_temp_dir()) . '/gateway-every-argument-' . getmypid();
mkdir($store);
$server = new GatewayTest\Server('', '127.0.0.1:0', '--store', "$store/inbox");
Gateway::$registerAddress = $server->register;
Gateway::$secretKey = '';
Gateway::$tokenKey = 'a key';

const ID = '00000000000000000000';

/** Says something when it is asked, after whatever else it does. */
final class Says
{
    public function __construct(private string $text, private ?Closure $before = null)
    {
    }

    public function __toString(): string
    {
        $this->before && ($this->before)();
        // The string is made here, so that no other variable holds it.
        return strrev(strrev($this->text));
    }
}

enum Suit: string
{
    case Hearts = 'h';
}

/** What can be given, by name; made anew each time, so that nothing else keeps it. */
function values(): array
{
    $open = fopen('php://memory', 'r');
    $closed = fopen('php://memory', 'r');
    fclose($closed);
    $cycle = ['x'];
    $cycle['cycle'] = &$cycle;
    $string = strrev('txet');
    $values = [
        'null' => null, 'false' => false, 'true' => true, '0' => 0, '-1' => -1, 'PHP_INT_MIN' => PHP_INT_MIN,
        '0.0' => 0.0, '-0.0' => -0.0, '1.5' => 1.5, 'NAN' => NAN, 'INF' => INF,
        "''" => '', "'0'" => '0', "'-'" => strrev('-'), "'text'" => $string, 'bytes' => "\0\xff\xfe", 'id' => strrev(ID),
        'long' => str_repeat('x', 100000),
        'object' => new stdClass, 'closure' => fn () => 1, 'enum' => Suit::Hearts, 'generator' => (fn () => yield 1)(),
        "says ''" => new Says(''), 'says text' => new Says('text'), 'says id' => new Says(ID),
        'throws' => new Says('', fn () => throw new DomainException('thrown')),
        'open' => $open, 'closed' => $closed, 'cycle' => $cycle,
    ];
    $lists = ['[]' => [], '[keys]' => ['key' => 'x', "\xff" => 'y', '' => 'z'], '[[]]' => [[]], '[null x 1000]' => array_fill(0, 1000, null)];
    foreach ($values as $name => $value) {
        $lists["[$name]"] = [$value];
    }
    // Each value gets a reference of its own, which nothing else has.
    foreach (array_keys($values) as $name) {
        $reference = $values[$name];
        $lists["[&$name]"] = [&$reference];
        unset($reference);
    }
    return $values + $lists;
}

/** Good values for the other arguments. */
function good(ReflectionParameter $parameter): mixed
{
    return match ($parameter->name) {
        'client_id' => ID,
        'uids', 'groups', 'session' => ['x'],
        'session_str', 'bytes' => 'a:0:{}',
        'message', 'uid', 'group', 'client_id_or_uid', 'id', 'name', 'proof' => 'x',
        'told' => fn () => 1,
        'worker' => null,
        'method' => 'isUidOnline',
        'arguments' => ['x'],
        default => $parameter->getDefaultValue(),
    };
}

function kind(mixed $result): string
{
    return $result instanceof PushGateway\GatewayFuture ? 'a future' : (is_array($result) ? 'array' : (is_string($result) && $result !== '' ? 'text' : json_encode($result)));
}

/** What a call gives, in a word or a few: its complaints, and then its result or what it throws. */
function outcome(string $class, string $method, array $arguments): string
{
    global $complaints;
    $complaints = [];
    try {
        $given = call_user_func_array([$class, $method], $arguments);
        // Whether all is confirmed depends on when it is asked.
        $result = $method === 'flush' && is_bool($given) ? 'bool' : kind($given);
    } catch (Throwable $e) {
        $message = preg_replace('/^PushGateway\\\\Gateway\w*::\w+\(\): Argument #\d \(\$\w+\) /', '', $e->getMessage());
        $message = preg_replace('/^client_id .* is invalid.*/s', 'client_id is invalid', $message);
        $message = preg_replace('/(?<=^Gateway has no method ).*/s', '…', $message);
        $message = preg_replace('/, \S+ given$|(?<=^Object of class )\S+/', ' …', $message);
        $result = get_class($e) . ': ' . $message;
    }
    return implode('', array_map(fn ($n) => "$n, ", array_keys($complaints))) . $result;
}

/** The gateway's answer to a call before, which comes when it comes: a session that is no serialized array. */
function is_late(string $message): bool
{
    return str_contains($message, ' refused ');
}

$complaints = [];
function note(int $level, string $message): bool
{
    global $complaints;
    if (is_late($message)) {
        return true;
    }
    if (str_starts_with($message, 'unexpected NAN value was coerced to ')) {
        // PHP 8.5 says this.
        $complaints['NAN'] = true;
        return true;
    }
    $complaints[match ($level) {
        // A notice is a warning in later versions of PHP.
        E_WARNING, E_NOTICE => 'Warning', E_DEPRECATED => 'Deprecated', default => "error $level",
    }] = true;
    return true;
}

/** The options of a delivery, with a good value for each. */
const OPTIONS = ['ttl' => 60, 'id' => 'x', 'replace' => 'x', 'new_device' => 'all', 'binary' => true];

/** All calls: [class, method, what is given, name of the value, arguments]. */
function calls(): Generator
{
    foreach (['Gateway', 'GatewayEvents'] as $class) {
        foreach ((new ReflectionClass($class))->getMethods() as $method) {
            if ($method->name === 'next') {
                // This method waits as long as it is told.
                continue;
            }
            foreach ($method->getParameters() as $position => $parameter) {
                $others = array_map('good', $method->getParameters());
                foreach (values() as $name => $value) {
                    yield [$class, $method->name, "\$$parameter->name", $name, array_replace($others, [$position => $value])];
                    unset($value);
                }
                foreach ($parameter->name === 'options' ? OPTIONS : [] as $option => $good) {
                    foreach (['good' => $good] + values() as $name => $value) {
                        $arguments = array_replace($others, [$position => [$option => $value]]);
                        yield [$class, $method->name, "\$options[$option]", $name, $arguments];
                        unset($value, $arguments);
                    }
                }
            }
        }
    }
}

echo "-- outcomes\n";
set_error_handler('note');
$rows = $expected = [];
foreach (calls() as [$class, $method, $parameter, $name, $arguments]) {
    $outcome = outcome($class, $method, $arguments);
    $rows["$class::$method($parameter)"][str_replace('NAN, ', '', $outcome)][] = $name;
    $expected["$class::$method $parameter $name"] = $outcome;
}
$all = array_keys(values());
$arrays = array_filter($all, fn ($name) => $name[0] === '[');
$alike = [];
foreach ($rows as $place => $outcomes) {
    $table = '';
    foreach ($outcomes as $outcome => $names) {
        if ($names === $all) {
            $names = ['anything'];
        } elseif (!array_diff($arrays, $names)) {
            $names = [...array_diff($names, $arrays), 'any array'];
        }
        // In a list, a reference to a value counts as the value.
        $names = array_filter($names, fn ($name) => !in_array(str_replace('[&', '[', $name), array_diff($names, [$name]), true));
        $table .= "    $outcome\n        " . wordwrap(implode(', ', $names), 110, "\n        ") . "\n";
    }
    $alike[$table][] = $place;
}
foreach ($alike as $table => $places) {
    echo wordwrap(implode(' ', $places), 120), "\n$table";
}

/** How many calls that change something were handed over. */
function handed(): int
{
    $stats = Gateway::stats();
    return $stats['queued'] + $stats['acked'] + $stats['dropped'];
}

echo "-- a handler that throws ends a call that complains, and nothing is sent\n";
set_error_handler(fn (int $level, string $message) => is_late($message) || throw new ErrorException('complaint', 0, $level));
$differences = $thrown = 0;
foreach (calls() as [$class, $method, $parameter, $name, $arguments]) {
    $before = handed();
    $outcome = outcome($class, $method, $arguments);
    $known = $expected["$class::$method $parameter $name"];
    if (preg_match('/^(Warning|Deprecated|NAN), /', $known)) {
        $thrown++;
        // A deprecated method raises its notice before it does anything.
        $known = 'ErrorException: complaint';
    }
    if ($outcome !== $known || (str_contains($outcome, ': ') && handed() !== $before)) {
        $differences++;
        echo "$class::$method($parameter) with $name: $outcome, not $known; ", handed() - $before, " sent\n";
    }
}
var_dump($differences, $thrown > 100);

echo "-- what was given changes while it is read\n";
$shaken = 0;
$shake = function () use (&$shaken) {
    global $given, $garbage;
    $shaken++;
    // Every way to the given value is dropped, and its memory is used for something else.
    foreach (array_keys($given ?? []) as $key) {
        if (is_array($given[$key])) {
            foreach (array_keys($given[$key]) as $inner) {
                $given[$key][$inner] = null;
            }
        }
        $given[$key] = null;
    }
    $garbage = array_map(fn ($length) => str_repeat('G', $length), range(1, 60));
};
set_error_handler(function (int $level, string $message) use ($shake) {
    $shake();
    return note($level, $message);
});
$differences = 0;
foreach (calls() as [$class, $method, $parameter, $name, $arguments]) {
    $known = $expected["$class::$method $parameter $name"];
    $given = [];
    foreach (array_keys($arguments) as $position) {
        $given[$position] = $arguments[$position];
        // The call may also be given the value by a reference.
        $arguments[$position] = &$given[$position];
        if (is_array($given[$position]) && !isset($given[$position]['cycle'])) {
            foreach (array_keys($given[$position]) as $inner) {
                $element = $given[$position][$inner];
                unset($given[$position][$inner]);
                $given[$position][$inner] = &$element;
                unset($element);
            }
        }
    }
    $outcome = outcome($class, $method, $arguments);
    // At a deprecated method the engine calls the handler, before the method reads anything.
    if ($outcome !== $known && !str_starts_with($known, 'Deprecated')) {
        $differences++;
        echo "$class::$method($parameter) with $name: $outcome, not $known\n";
    }
}
var_dump($differences, $shaken > 100);
restore_error_handler();
Gateway::getAllClientIdCount();
$server->stop();
array_map('unlink', glob("$store/*"));
rmdir($store);
echo "done\n";
?>
--EXPECT--
-- outcomes
Gateway::sendToAll($message) Gateway::sendToUid($message) Gateway::sendToGroup($message)
    null
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, cycle, [], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN],
        [0.0], [-0.0], [1.5], [''], ['0'], ['-'], ['text'], [id], [long], [open], [closed], [cycle]
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed
    DomainException: thrown
        throws
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds text that is not UTF-8; encode it
        [keys], [bytes]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds a number that is infinite or none; encode it
        [NAN], [INF]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds something other than null, booleans, integers, strings and arrays of them; encode it
        [object], [enum], [says ''], [says text], [says id]
    Exception: Serialization of 'Closure' is not allowed
        [closure], [throws]
    Exception: Serialization of 'Generator' is not allowed
        [generator]
Gateway::sendToAll($client_id_array)
    null
        null, false, 0, 0.0, -0.0, '', '0', [], [id], [says id]
    TypeError: must be of type ?array …
        true, -1, PHP_INT_MIN, 1.5, NAN, INF, '-', 'text', bytes, id, long, object, closure, enum, generator, says '',
        says text, says id, throws, open, closed
    PushGateway\ArgumentException: client_id is invalid
        cycle, [keys], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0], [1.5], [NAN],
        [INF], [''], ['0'], ['-'], ['text'], [bytes], [long], [says ''], [says text]
    TypeError: must be of type a list of string …
        [[]], [open], [closed], [cycle]
    Error: Object of class  … could not be converted to string
        [object], [closure], [enum], [generator]
    DomainException: thrown
        [throws]
Gateway::sendToAll($exclude_client_id) Gateway::sendToUid($exclude_client_id) Gateway::sendToGroup($exclude_client_id)
    null
        null, false, 0, 0.0, -0.0, '', '0', id, says id, [], [id], [says id]
    PushGateway\ArgumentException: client_id is invalid
        true, -1, PHP_INT_MIN, 1.5, NAN, INF, '-', 'text', bytes, long, says '', says text, cycle, [keys], [null x
        1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0], [1.5], [NAN], [INF], [''], ['0'],
        ['-'], ['text'], [bytes], [long], [says ''], [says text]
    TypeError: must be of type array|string|null …
        object, closure, enum, generator, open, closed
    DomainException: thrown
        throws, [throws]
    TypeError: must be of type a list of string …
        [[]], [open], [closed], [cycle]
    Error: Object of class  … could not be converted to string
        [object], [closure], [enum], [generator]
Gateway::sendToAll($raw) Gateway::sendToAll($binary) Gateway::sendToUid($raw) Gateway::sendToUid($binary)
Gateway::sendToGroup($raw) Gateway::sendToGroup($binary)
    null
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long
    TypeError: must be of type bool …
        object, closure, enum, generator, says '', says text, says id, throws, open, closed, cycle, any array
Gateway::sendToAll($exclude_group) Gateway::sendToUid($uid) Gateway::sendToUid($exclude_group)
Gateway::sendToGroup($exclude_group) Gateway::closeUid($uid)
    null
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, [], [keys], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [says ''], [says text],
        [says id]
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator, [object], [closure], [enum], [generator]
    DomainException: thrown
        throws, [throws]
    TypeError: must be of type array|string|int …
        open, closed
    TypeError: must be of type a list of string|int …
        cycle, [[]], [open], [closed], [cycle]
Gateway::sendToClient($client_id) Gateway::setSocketSession($client_id)
    PushGateway\ArgumentException: the client_id is null, which is the client whose event is being handled, and none is; name the client
        null
    PushGateway\ArgumentException: client_id is invalid
        false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, long, says '', says
        text
    true
        id, says id
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed, cycle, any array
    DomainException: thrown
        throws
Gateway::sendToClient($message)
    true
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, cycle, [], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN],
        [0.0], [-0.0], [1.5], [''], ['0'], ['-'], ['text'], [id], [long], [open], [closed], [cycle]
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed
    DomainException: thrown
        throws
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds text that is not UTF-8; encode it
        [keys], [bytes]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds a number that is infinite or none; encode it
        [NAN], [INF]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds something other than null, booleans, integers, strings and arrays of them; encode it
        [object], [enum], [says ''], [says text], [says id]
    Exception: Serialization of 'Closure' is not allowed
        [closure], [throws]
    Exception: Serialization of 'Generator' is not allowed
        [generator]
Gateway::sendToClient($raw) Gateway::sendToClient($binary)
    true
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long
    TypeError: must be of type bool …
        object, closure, enum, generator, says '', says text, says id, throws, open, closed, cycle, any array
Gateway::sendToGroup($group)
    false
        null, false, 0, 0.0, -0.0, '', '0', says '', []
    null
        true, -1, PHP_INT_MIN, 1.5, NAN, INF, '-', 'text', bytes, id, long, says text, says id, [keys], [null x 1000],
        [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'],
        ['text'], [bytes], [id], [long], [says ''], [says text], [says id]
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator, [object], [closure], [enum], [generator]
    DomainException: thrown
        throws, [throws]
    TypeError: must be of type array|string|int …
        open, closed
    TypeError: must be of type a list of string|int …
        cycle, [[]], [open], [closed], [cycle]
Gateway::closeUid($message)
    null
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, cycle, [], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN],
        [0.0], [-0.0], [1.5], [''], ['0'], ['-'], ['text'], [id], [long], [open], [closed], [cycle]
    TypeError: must be of type ?string …
        object, closure, enum, generator, open, closed
    DomainException: thrown
        throws
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds text that is not UTF-8; encode it
        [keys], [bytes]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds a number that is infinite or none; encode it
        [NAN], [INF]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds something other than null, booleans, integers, strings and arrays of them; encode it
        [object], [enum], [says ''], [says text], [says id]
    Exception: Serialization of 'Closure' is not allowed
        [closure], [throws]
    Exception: Serialization of 'Generator' is not allowed
        [generator]
Gateway::closeClient($client_id) Gateway::destoryClient($client_id) Gateway::destroyClient($client_id)
    Deprecated, PushGateway\ArgumentException: client_id is invalid
        null
    PushGateway\ArgumentException: client_id is invalid
        false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, long, says '', says
        text
    true
        id, says id
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed, cycle, any array
    DomainException: thrown
        throws
Gateway::closeClient($message)
    true
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, cycle, [], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN],
        [0.0], [-0.0], [1.5], [''], ['0'], ['-'], ['text'], [id], [long], [open], [closed], [cycle]
    TypeError: must be of type ?string …
        object, closure, enum, generator, open, closed
    DomainException: thrown
        throws
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds text that is not UTF-8; encode it
        [keys], [bytes]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds a number that is infinite or none; encode it
        [NAN], [INF]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds something other than null, booleans, integers, strings and arrays of them; encode it
        [object], [enum], [says ''], [says text], [says id]
    Exception: Serialization of 'Closure' is not allowed
        [closure], [throws]
    Exception: Serialization of 'Generator' is not allowed
        [generator]
Gateway::bindUid($client_id) Gateway::unbindUid($client_id) Gateway::joinGroup($client_id)
Gateway::leaveGroup($client_id) Gateway::setSession($client_id) Gateway::updateSession($client_id)
    PushGateway\ArgumentException: the client_id is null, which is the client whose event is being handled, and none is; name the client
        null
    PushGateway\ArgumentException: client_id is invalid
        false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, long, says '', says
        text
    null
        id, says id
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed, cycle, any array
    DomainException: thrown
        throws
Gateway::bindUid($uid)
    Warning, null
        null, false, 0, 0.0, -0.0, '', '0', says '', []
    null
        true, -1, PHP_INT_MIN, 1.5, NAN, INF, '-', 'text', bytes, id, says text, says id
    PushGateway\ArgumentException: the uid has 100000 bytes, more than the 1024 that one may have
        long
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator
    DomainException: thrown
        throws
    TypeError: must be of type string|int …
        open, closed, cycle, [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [closure], [enum],
        [generator], [says ''], [says text], [says id], [throws], [open], [closed], [cycle]
Gateway::unbindUid($uid)
    null
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, []
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator
    DomainException: thrown
        throws
    TypeError: must be of type string|int …
        open, closed, cycle, [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [closure], [enum],
        [generator], [says ''], [says text], [says id], [throws], [open], [closed], [cycle]
Gateway::joinGroup($group)
    Warning, null
        null, false, 0, 0.0, -0.0, '', '0', says '', []
    null
        true, -1, PHP_INT_MIN, 1.5, NAN, INF, '-', 'text', bytes, id, says text, says id
    PushGateway\ArgumentException: the group has 100000 bytes, more than the 1024 that one may have
        long
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator
    DomainException: thrown
        throws
    TypeError: must be of type string|int …
        open, closed, cycle, [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [closure], [enum],
        [generator], [says ''], [says text], [says id], [throws], [open], [closed], [cycle]
Gateway::leaveGroup($group) Gateway::forget($uid)
    Warning, null
        null, false, 0, 0.0, -0.0, '', '0', says '', []
    null
        true, -1, PHP_INT_MIN, 1.5, NAN, INF, '-', 'text', bytes, id, long, says text, says id
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator
    DomainException: thrown
        throws
    TypeError: must be of type string|int …
        open, closed, cycle, [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [closure], [enum],
        [generator], [says ''], [says text], [says id], [throws], [open], [closed], [cycle]
Gateway::ungroup($group)
    Warning, false
        null, false, 0, 0.0, -0.0, '', '0', says '', []
    null
        true, -1, PHP_INT_MIN, 1.5, NAN, INF, '-', 'text', bytes, id, long, says text, says id
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator
    DomainException: thrown
        throws
    TypeError: must be of type string|int …
        open, closed, cycle, [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [closure], [enum],
        [generator], [says ''], [says text], [says id], [throws], [open], [closed], [cycle]
Gateway::isOnline($client_id)
    Deprecated, PushGateway\ArgumentException: client_id is invalid
        null
    PushGateway\ArgumentException: client_id is invalid
        false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, long, says '', says
        text
    0
        id, says id
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed, cycle, any array
    DomainException: thrown
        throws
Gateway::isUidOnline($uid) Gateway::getClientIdCountByGroup($group) Gateway::getClientCountByGroup($group)
    0
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, []
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator
    DomainException: thrown
        throws
    TypeError: must be of type string|int …
        open, closed, cycle, [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [closure], [enum],
        [generator], [says ''], [says text], [says id], [throws], [open], [closed], [cycle]
Gateway::isUidsOnline($uids) Gateway::batchGetClientIdByUid($uids) Gateway::batchGetClientIdCountByGroup($groups)
    TypeError: must be of type array …
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long,
        object, closure, enum, generator, says '', says text, says id, throws, open, closed
    TypeError: must be of type a list of string|int …
        cycle, [[]], [open], [closed], [cycle]
    array
        [], [keys], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0], [1.5], [NAN],
        [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [says ''], [says text], [says id]
    Error: Object of class  … could not be converted to string
        [object], [closure], [enum], [generator]
    DomainException: thrown
        [throws]
Gateway::getClientIdByUid($uid) Gateway::getAllClientSessions($group) Gateway::ask($client_id_or_uid)
    array
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, []
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator
    DomainException: thrown
        throws
    TypeError: must be of type string|int …
        open, closed, cycle, [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [closure], [enum],
        [generator], [says ''], [says text], [says id], [throws], [open], [closed], [cycle]
Gateway::getUidByClientId($client_id) Gateway::getClientInfo($client_id) Gateway::getSession($client_id)
Gateway::getClientProof($client_id)
    Deprecated, PushGateway\ArgumentException: client_id is invalid
        null
    PushGateway\ArgumentException: client_id is invalid
        false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, long, says '', says
        text
    null
        id, says id
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed, cycle, any array
    DomainException: thrown
        throws
Gateway::getClientIdListByGroup($group) Gateway::getUidListByGroup($group) Gateway::getClientSessionsByGroup($group)
Gateway::sendToUidCounted($uid) Gateway::sendToGroupCounted($group)
    array
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, [], [keys], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [says ''], [says text],
        [says id]
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator, [object], [closure], [enum], [generator]
    DomainException: thrown
        throws, [throws]
    TypeError: must be of type array|string|int …
        open, closed
    TypeError: must be of type a list of string|int …
        cycle, [[]], [open], [closed], [cycle]
Gateway::getUidCountByGroup($group)
    0
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, [], [keys], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [says ''], [says text],
        [says id]
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator, [object], [closure], [enum], [generator]
    DomainException: thrown
        throws, [throws]
    TypeError: must be of type array|string|int …
        open, closed
    TypeError: must be of type a list of string|int …
        cycle, [[]], [open], [closed], [cycle]
Gateway::setSession($session) Gateway::updateSession($session)
    TypeError: must be of type array …
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long,
        object, closure, enum, generator, says '', says text, says id, throws, open, closed
    null
        cycle, [], [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0],
        [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [enum], [says ''], [says
        text], [says id], [open], [closed], [cycle]
    Exception: Serialization of 'Closure' is not allowed
        [closure], [throws]
    Exception: Serialization of 'Generator' is not allowed
        [generator]
Gateway::setSocketSession($session_str)
    Deprecated, true
        null
    true
        false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says '',
        says text, says id
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed, cycle, any array
    DomainException: thrown
        throws
Gateway::getAllClientInfo($group)
    Deprecated, array
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, []
    Deprecated, Error: Object of class  … could not be converted to string
        object, closure, enum, generator
    Deprecated, DomainException: thrown
        throws
    Deprecated, TypeError: must be of type string|int …
        open, closed, cycle, [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [closure], [enum],
        [generator], [says ''], [says text], [says id], [throws], [open], [closed], [cycle]
Gateway::getClientInfoByGroup($group)
    Deprecated, array
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, [], [keys], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [says ''], [says text],
        [says id]
    Deprecated, Error: Object of class  … could not be converted to string
        object, closure, enum, generator, [object], [closure], [enum], [generator]
    Deprecated, DomainException: thrown
        throws, [throws]
    Deprecated, TypeError: must be of type array|string|int …
        open, closed
    Deprecated, TypeError: must be of type a list of string|int …
        cycle, [[]], [open], [closed], [cycle]
Gateway::token($uid)
    Warning, ""
        null, false, 0, 0.0, -0.0, '', '0', says '', []
    text
        true, -1, PHP_INT_MIN, 1.5, NAN, INF, '-', 'text', id, says text, says id
    PushGateway\ArgumentException: no token was made: it cannot carry text that is not UTF-8
        bytes
    PushGateway\ArgumentException: the uid has 100000 bytes, more than the 1024 that one may have
        long
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator
    DomainException: thrown
        throws
    TypeError: must be of type string|int …
        open, closed, cycle, [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [closure], [enum],
        [generator], [says ''], [says text], [says id], [throws], [open], [closed], [cycle]
Gateway::token($ttl)
    Deprecated, PushGateway\ArgumentException: a token's time must be a second or more
        null
    PushGateway\ArgumentException: a token's time must be a second or more
        false, 0, -1, PHP_INT_MIN, 0.0, -0.0, '0', id
    text
        true
    Deprecated, text
        1.5
    TypeError: must be of type int …
        NAN, INF, '', '-', 'text', bytes, long, object, closure, enum, generator, says '', says text, says id, throws,
        open, closed, cycle, any array
Gateway::token($groups)
    TypeError: must be of type array …
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long,
        object, closure, enum, generator, says '', says text, says id, throws, open, closed
    TypeError: must be of type a list of string|int …
        cycle, [[]], [open], [closed], [cycle]
    text
        [], [keys], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0], [1.5], [NAN], [INF], ['0'], ['-'], ['text'],
        [id], [says text], [says id]
    PushGateway\ArgumentException: no token was made: each of groups must have 1 to 1024 bytes
        [null x 1000], [null], [false], [''], [long], [says '']
    PushGateway\ArgumentException: no token was made: it cannot carry text that is not UTF-8
        [bytes]
    Error: Object of class  … could not be converted to string
        [object], [closure], [enum], [generator]
    DomainException: thrown
        [throws]
Gateway::token($session)
    TypeError: must be of type array …
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long,
        object, closure, enum, generator, says '', says text, says id, throws, open, closed
    PushGateway\ArgumentException: no token was made: it cannot carry arrays more than 32 deep
        cycle, [cycle]
    text
        [], [[]], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0], [1.5], [''], ['0'], ['-'],
        ['text'], [id]
    PushGateway\ArgumentException: no token was made: it cannot carry text that is not UTF-8
        [keys], [bytes]
    PushGateway\ArgumentException: no token was made: it has 14675 bytes, more than the 8192 allowed
        [null x 1000]
    PushGateway\ArgumentException: no token was made: it cannot carry a number that is infinite or none
        [NAN], [INF]
    PushGateway\ArgumentException: no token was made: it has 133497 bytes, more than the 8192 allowed
        [long]
    PushGateway\ArgumentException: no token was made: it cannot carry anything but arrays, strings, numbers, bools and null
        [object], [closure], [enum], [generator], [says ''], [says text], [says id], [throws], [open], [closed]
Gateway::token($once)
    Deprecated, text
        null
    text
        false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long
    TypeError: must be of type bool …
        object, closure, enum, generator, says '', says text, says id, throws, open, closed, cycle, any array
Gateway::token($device)
    text
        null, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '0', '-', 'text', id, says text, says id
    PushGateway\ArgumentException: no token was made: dev must have 1 to 64 bytes
        false, '', long, says ''
    PushGateway\ArgumentException: no token was made: it cannot carry text that is not UTF-8
        bytes
    TypeError: must be of type ?string …
        object, closure, enum, generator, open, closed, cycle, any array
    DomainException: thrown
        throws
Gateway::sendToUidCounted($message) Gateway::sendToGroupCounted($message) Gateway::ask($message)
    array
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, cycle, [], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN],
        [0.0], [-0.0], [1.5], [''], ['0'], ['-'], ['text'], [id], [long], [open], [closed], [cycle]
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed
    DomainException: thrown
        throws
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds text that is not UTF-8; encode it
        [keys], [bytes]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds a number that is infinite or none; encode it
        [NAN], [INF]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds something other than null, booleans, integers, strings and arrays of them; encode it
        [object], [enum], [says ''], [says text], [says id]
    Exception: Serialization of 'Closure' is not allowed
        [closure], [throws]
    Exception: Serialization of 'Generator' is not allowed
        [generator]
Gateway::sendToGroupCounted($exclude_client_id)
    array
        null, false, 0, 0.0, -0.0, '', '0', id, says id, [], [id], [says id]
    PushGateway\ArgumentException: client_id is invalid
        true, -1, PHP_INT_MIN, 1.5, NAN, INF, '-', 'text', bytes, long, says '', says text, cycle, [keys], [null x
        1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0], [1.5], [NAN], [INF], [''], ['0'],
        ['-'], ['text'], [bytes], [long], [says ''], [says text]
    TypeError: must be of type array|string|null …
        object, closure, enum, generator, open, closed
    DomainException: thrown
        throws, [throws]
    TypeError: must be of type a list of string …
        [[]], [open], [closed], [cycle]
    Error: Object of class  … could not be converted to string
        [object], [closure], [enum], [generator]
Gateway::ask($timeout)
    array
        null, true, 1.5
    PushGateway\ArgumentException: the time for answers must be above 0 and at most Gateway::$connectTimeout, which is 3 seconds
        false, 0, -1, PHP_INT_MIN, 0.0, -0.0, NAN, INF, '0', id
    TypeError: must be of type ?float …
        '', '-', 'text', bytes, long, object, closure, enum, generator, says '', says text, says id, throws, open,
        closed, cycle, any array
Gateway::deliverToUid($uid)
    text
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, says '',
        says text, says id, [], [keys], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [says ''], [says text], [says id]
    PushGateway\ArgumentException: the message was not delivered: the uid has 100000 bytes, more than the 1024 that one may have
        long, [long]
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator, [object], [closure], [enum], [generator]
    DomainException: thrown
        throws, [throws]
    TypeError: must be of type array|string|int …
        open, closed
    TypeError: must be of type a list of string|int …
        cycle, [[]], [open], [closed], [cycle]
Gateway::deliverToUid($message)
    text
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', id, says '', says text,
        says id, cycle, [], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0],
        [1.5], [''], ['0'], ['-'], ['text'], [id], [open], [closed], [cycle]
    PushGateway\ArgumentException: the message was not delivered: it is not UTF-8, as pages get it as text; encode it, as by base64_encode
        bytes
    PushGateway\ArgumentException: the message was not delivered: it has 100000 bytes, more than the 65536 that are kept for who is not there
        long
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed
    DomainException: thrown
        throws
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds text that is not UTF-8; encode it
        [keys], [bytes]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds a number that is infinite or none; encode it
        [NAN], [INF]
    PushGateway\ArgumentException: the message was not delivered: it has 100004 bytes, more than the 65536 that are kept for who is not there
        [long]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds something other than null, booleans, integers, strings and arrays of them; encode it
        [object], [enum], [says ''], [says text], [says id]
    Exception: Serialization of 'Closure' is not allowed
        [closure], [throws]
    Exception: Serialization of 'Generator' is not allowed
        [generator]
Gateway::deliverToUid($options)
    TypeError: must be of type array …
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long,
        object, closure, enum, generator, says '', says text, says id, throws, open, closed
    PushGateway\ArgumentException: the message was not delivered: there is no option "0": there are id, ttl, replace, new_device and binary
        cycle, [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0], [1.5], [NAN],
        [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [closure], [enum], [generator], [says
        ''], [says text], [says id], [throws], [open], [closed], [cycle]
    text
        []
    PushGateway\ArgumentException: the message was not delivered: there is no option "key": there are id, ttl, replace, new_device and binary
        [keys]
Gateway::deliverToUid($options[ttl])
    text
        good
    PushGateway\ArgumentException: the message was not delivered: ttl must be an int from 1 to 2592000, which are seconds
        anything
Gateway::deliverToUid($options[id])
    text
        good, null, 0, -1, PHP_INT_MIN, '0', '-', 'text', id
    PushGateway\ArgumentException: the message was not delivered: id must be 1 to 64 letters, digits, _ and -
        false, true, 0.0, -0.0, 1.5, NAN, INF, '', bytes, long, object, closure, enum, generator, says '', says text,
        says id, throws, open, closed, cycle, any array
Gateway::deliverToUid($options[replace])
    text
        good, null, 0, -1, PHP_INT_MIN, '0', '-', 'text', id
    PushGateway\ArgumentException: the message was not delivered: replace must be 1 to 64 letters, digits, _ and -
        false, true, 0.0, -0.0, 1.5, NAN, INF, '', bytes, long, object, closure, enum, generator, says '', says text,
        says id, throws, open, closed, cycle, any array
Gateway::deliverToUid($options[new_device])
    text
        good
    PushGateway\ArgumentException: the message was not delivered: new_device must be 'all' or 'unacknowledged'
        anything
Gateway::deliverToUid($options[binary])
    text
        good, null, false, true
    PushGateway\ArgumentException: the message was not delivered: binary must be a bool or null
        0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, object, closure, enum,
        generator, says '', says text, says id, throws, open, closed, cycle, any array
Gateway::receipt($id)
    Deprecated, array
        null
    array
        false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says '',
        says text, says id
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed, cycle, any array
    DomainException: thrown
        throws
Gateway::inboxOf($uid)
    null
        null, false, 0, 0.0, -0.0, '', '0', long, says '', []
    array
        true, -1, PHP_INT_MIN, 1.5, NAN, INF, '-', 'text', bytes, id, says text, says id
    Error: Object of class  … could not be converted to string
        object, closure, enum, generator
    DomainException: thrown
        throws
    TypeError: must be of type string|int …
        open, closed, cycle, [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0],
        [-0.0], [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [closure], [enum],
        [generator], [says ''], [says text], [says id], [throws], [open], [closed], [cycle]
Gateway::later($method)
    Deprecated, PushGateway\ArgumentException: Gateway has no method …
        null
    PushGateway\ArgumentException: Gateway has no method …
        false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says '',
        says text, says id
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed, cycle, any array
    DomainException: thrown
        throws
Gateway::later($arguments)
    TypeError: must be of type array …
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long,
        object, closure, enum, generator, says '', says text, says id, throws, open, closed
    Error: Unknown named parameter $cycle
        cycle
    ArgumentCountError: PushGateway\Gateway::isUidOnline() expects exactly 1 argument …
        [], [null x 1000]
    PushGateway\ArgumentException: an argument's name must be UTF-8
        [keys]
    a future
        [[]], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0], [1.5], [NAN], [INF], [''], ['0'],
        ['-'], ['text'], [bytes], [id], [long], [says ''], [says text], [says id]
    Error: Object of class  … could not be converted to string
        [object], [closure], [enum], [generator]
    DomainException: thrown
        [throws]
    TypeError: must be of type string|int …
        [open], [closed], [cycle]
Gateway::isClientProof($client_id) Gateway::isClientProof($proof)
    false
        anything
Gateway::sendToCurrentClient($message)
    PushGateway\GatewayException: Gateway::sendToCurrentClient() can be called only while an event of a client is handled; name the client in another method, such as sendToClient()
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, cycle, [], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN],
        [0.0], [-0.0], [1.5], [''], ['0'], ['-'], ['text'], [id], [long], [open], [closed], [cycle]
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed
    DomainException: thrown
        throws
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds text that is not UTF-8; encode it
        [keys], [bytes]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds a number that is infinite or none; encode it
        [NAN], [INF]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds something other than null, booleans, integers, strings and arrays of them; encode it
        [object], [enum], [says ''], [says text], [says id]
    Exception: Serialization of 'Closure' is not allowed
        [closure], [throws]
    Exception: Serialization of 'Generator' is not allowed
        [generator]
Gateway::sendToCurrentClient($raw) Gateway::sendToCurrentClient($binary)
    PushGateway\GatewayException: Gateway::sendToCurrentClient() can be called only while an event of a client is handled; name the client in another method, such as sendToClient()
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long
    TypeError: must be of type bool …
        object, closure, enum, generator, says '', says text, says id, throws, open, closed, cycle, any array
Gateway::closeCurrentClient($message)
    PushGateway\GatewayException: Gateway::closeCurrentClient() can be called only while an event of a client is handled; name the client in another method, such as sendToClient()
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long, says
        '', says text, says id, cycle, [], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN],
        [0.0], [-0.0], [1.5], [''], ['0'], ['-'], ['text'], [id], [long], [open], [closed], [cycle]
    TypeError: must be of type ?string …
        object, closure, enum, generator, open, closed
    DomainException: thrown
        throws
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds text that is not UTF-8; encode it
        [keys], [bytes]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds a number that is infinite or none; encode it
        [NAN], [INF]
    PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds something other than null, booleans, integers, strings and arrays of them; encode it
        [object], [enum], [says ''], [says text], [says id]
    Exception: Serialization of 'Closure' is not allowed
        [closure], [throws]
    Exception: Serialization of 'Generator' is not allowed
        [generator]
Gateway::setBusinessWorker($worker)
    null
        anything
Gateway::flush($timeout)
    bool
        null, false, true, 0, 0.0, -0.0, 1.5, '0', id
    PushGateway\ArgumentException: the time to wait must be 0 seconds or more, and finite
        -1, PHP_INT_MIN, NAN, INF
    TypeError: must be of type ?float …
        '', '-', 'text', bytes, long, object, closure, enum, generator, says '', says text, says id, throws, open,
        closed, cycle, any array
GatewayEvents::join($name) GatewayEvents::joinWithMoves($name)
    Deprecated, PushGateway\ArgumentException: a worker's name must be UTF-8 of 1 to 256 bytes
        null
    PushGateway\ArgumentException: a worker's name must be UTF-8 of 1 to 256 bytes
        false, '', bytes, long, says ''
    null
        true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '0', '-', 'text', id, says text, says id
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed, cycle, any array
    DomainException: thrown
        throws
GatewayEvents::readSession($bytes)
    Deprecated, array
        null
    array
        false, '', says ''
    false
        true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '0', '-', 'text', bytes, id, long, says text, says id
    TypeError: must be of type string …
        object, closure, enum, generator, open, closed, cycle, any array
    DomainException: thrown
        throws
GatewayEvents::writeSession($session)
    TypeError: must be of type array …
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long,
        object, closure, enum, generator, says '', says text, says id, throws, open, closed
    text
        cycle, [], [keys], [[]], [null x 1000], [null], [false], [true], [0], [-1], [PHP_INT_MIN], [0.0], [-0.0],
        [1.5], [NAN], [INF], [''], ['0'], ['-'], ['text'], [bytes], [id], [long], [object], [enum], [says ''], [says
        text], [says id], [open], [closed], [cycle]
    Exception: Serialization of 'Closure' is not allowed
        [closure], [throws]
    Exception: Serialization of 'Generator' is not allowed
        [generator]
GatewayEvents::onSession($told)
    TypeError: must be of type callable …
        null, false, true, 0, -1, PHP_INT_MIN, 0.0, -0.0, 1.5, NAN, INF, '', '0', '-', 'text', bytes, id, long,
        object, enum, generator, says '', says text, says id, throws, open, closed, cycle, any array
    null
        closure
-- a handler that throws ends a call that complains, and nothing is sent
int(0)
bool(true)
-- what was given changes while it is read
int(0)
bool(true)
done
