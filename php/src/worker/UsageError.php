<?php

namespace PushGateway\Worker;

/** Something that whoever started the program has to put right. */
final class UsageError extends \RuntimeException
{
}
