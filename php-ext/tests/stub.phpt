--TEST--
gateway.stub.php is what the extension is
--EXTENSIONS--
gateway
--FILE--
<?php
// The stub's classes, in another namespace so that they can stand beside the extension's.
$stub = file_get_contents(__DIR__ . '/../gateway.stub.php');
$stub = preg_replace(['/^<\?php/', '/^namespace PushGateway;$/m'], ['', 'namespace Stub;'], $stub);
eval($stub);

function describe_type(?ReflectionType $type): string
{
    return $type === null ? '' : "$type ";
}

function describe_method(ReflectionMethod $method): string
{
    $parameters = array_map(function (ReflectionParameter $parameter) {
        $default = $parameter->isDefaultValueAvailable() ? ' = ' . var_export($parameter->getDefaultValue(), true) : '';
        return describe_type($parameter->getType()) . ($parameter->isPassedByReference() ? '&' : '')
            . ($parameter->isVariadic() ? '...' : '') . '$' . $parameter->getName() . $default;
    }, $method->getParameters());
    return implode(' ', Reflection::getModifierNames($method->getModifiers())) . ' function ' . $method->getName() . '('
        . implode(', ', $parameters) . ') ' . describe_type($method->getReturnType())
        . $method->getNumberOfRequiredParameters();
}

function describe(ReflectionClass $class): array
{
    // A class that extends one of these does so in both namespaces.
    $parent = str_replace('Stub\\', 'PushGateway\\', ($class->getParentClass() ?: null)?->getName() ?? '');
    $lines = ['class ' . $class->getShortName() . " extends $parent"];
    foreach ($class->getReflectionConstants() as $constant) {
        $lines[] = 'const ' . $constant->getName() . ' = ' . var_export($constant->getValue(), true);
    }
    foreach ($class->getProperties() as $property) {
        if ($property->getDeclaringClass() == $class) {
            $lines[] = implode(' ', Reflection::getModifierNames($property->getModifiers())) . ' '
                . describe_type($property->getType()) . '$' . $property->getName() . ' = '
                . var_export($property->getDefaultValue(), true);
        }
    }
    foreach ($class->getMethods() as $method) {
        if ($method->getDeclaringClass() == $class) {
            $lines[] = describe_method($method);
        }
    }
    sort($lines);
    return $lines;
}

$known = array_map(fn ($class) => $class->getShortName(), (new ReflectionExtension('gateway'))->getClasses());
// Aliases are declared there under their own names.
$known = array_unique(array_values($known));
$written = array_map(
    fn ($name) => substr($name, strlen('Stub\\')),
    array_values(array_filter(get_declared_classes(), fn ($name) => str_starts_with($name, 'Stub\\')))
);
sort($known);
sort($written);
var_dump($known === $written, $known);
foreach ($written as $name) {
    $stub = describe(new ReflectionClass("Stub\\$name"));
    $built = describe(new ReflectionClass("PushGateway\\$name"));
    echo "$name: ", count($built) > 0 ? 'described' : 'empty', "\n";
    foreach (array_diff($stub, $built) as $line) {
        echo "only in the stub: $line\n";
    }
    foreach (array_diff($built, $stub) as $line) {
        echo "only in the extension: $line\n";
    }
}
echo "-- the other names\n";
$aliases = file_get_contents(__DIR__ . '/../aliases.stub.php');
eval(preg_replace(['/^<\?php/', '/^namespace (?={)/m', '/^namespace (?=Gateway)/m'], ['', 'namespace Alias ', 'namespace Alias\\'], $aliases));
foreach (get_declared_classes() as $alias) {
    if (str_starts_with($alias, 'Alias\\')) {
        $name = substr($alias, strlen('Alias\\'));
        echo "$name: ", (new ReflectionClass($name))->getName() === get_parent_class($alias) ? 'as here' : 'another', "\n";
    }
}
echo "-- every method and class has a docblock\n";
foreach ($written as $name) {
    $class = new ReflectionClass("Stub\\$name");
    foreach ([$class, ...$class->getMethods(), ...$class->getProperties()] as $documented) {
        $own = !method_exists($documented, 'getDeclaringClass') || $documented->getDeclaringClass() == $class;
        if ($own && $documented->getDocComment() === false) {
            echo $documented->getName(), "\n";
        }
    }
}
?>
--EXPECT--
bool(true)
array(9) {
  [0]=>
  string(17) "ArgumentException"
  [1]=>
  string(7) "Gateway"
  [2]=>
  string(13) "GatewayEvents"
  [3]=>
  string(16) "GatewayException"
  [4]=>
  string(13) "GatewayFuture"
  [5]=>
  string(17) "ProtocolException"
  [6]=>
  string(16) "RefusedException"
  [7]=>
  string(16) "TimeoutException"
  [8]=>
  string(20) "UnreachableException"
}
ArgumentException: described
Gateway: described
GatewayEvents: described
GatewayException: described
GatewayFuture: described
ProtocolException: described
RefusedException: described
TimeoutException: described
UnreachableException: described
-- the other names
Gateway: as here
GatewayEvents: as here
GatewayException: as here
GatewayClient\Gateway: as here
GatewayWorker\Lib\Gateway: as here
-- every method and class has a docblock
