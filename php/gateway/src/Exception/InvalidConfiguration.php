<?php

declare(strict_types=1);

namespace PushGateway\Exception;

/** A setting that cannot be meant. */
class InvalidConfiguration extends \InvalidArgumentException implements GatewayExceptionInterface
{
}
